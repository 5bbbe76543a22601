use std::path::PathBuf;

/// Prompts that are remembered.
const MOST: usize = 100;

/// Prompts that were rendered, to go back to.
#[derive(Debug, Default)]
pub(super) struct PromptHistory {
    /// The newest last.
    prompts: Vec<String>,
    /// Which one is in the field, and what was typed before the first of them was fetched.
    at: Option<(usize, String)>,
    file: Option<PathBuf>,
}

impl PromptHistory {
    /// Keeps them in `file`.
    pub(super) fn keep_in(&mut self, file: PathBuf) {
        self.prompts = std::fs::read(&file)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default();
        self.file = Some(file);
    }

    /// A prompt is rendered. Gives what is to be written to disk.
    pub(super) fn add(&mut self, prompt: &str) -> Option<(PathBuf, Vec<u8>)> {
        self.at = None;
        if prompt.trim().is_empty() || self.prompts.last().is_some_and(|last| last == prompt) {
            return None;
        }
        self.prompts.retain(|known| known != prompt);
        self.prompts.push(prompt.to_owned());
        let surplus = self.prompts.len().saturating_sub(MOST);
        self.prompts.drain(..surplus);
        Some((
            self.file.clone()?,
            serde_json::to_vec_pretty(&self.prompts).ok()?,
        ))
    }

    /// The prompt before the one in the field, which now says `now`.
    pub(super) fn earlier(&mut self, now: &str) -> Option<String> {
        let (from, typed) = match self.at.take() {
            Some((at, typed)) if self.prompts.get(at).is_some_and(|known| known == now) => {
                (at, typed)
            }
            _ => (self.prompts.len(), now.to_owned()),
        };
        // What is in the field already is no step back.
        let at = self.prompts[..from].iter().rposition(|known| known != now);
        self.at = Some((at.unwrap_or(from), typed));
        at.map(|at| self.prompts[at].clone())
    }

    /// The prompt after the one in the field, in the end what was typed before.
    pub(super) fn later(&mut self) -> Option<String> {
        let (at, typed) = self.at.take()?;
        match self.prompts.get(at + 1) {
            Some(prompt) => {
                let prompt = prompt.clone();
                self.at = Some((at + 1, typed));
                Some(prompt)
            }
            None => Some(typed),
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "tests write and wait as they like"
)]
mod tests {
    use super::*;

    #[test]
    fn back_and_forth_ends_with_what_was_typed() {
        let mut history = PromptHistory::default();
        for prompt in ["a", "b", "a", "c"] {
            assert!(history.add(prompt).is_none());
        }
        assert_eq!(history.prompts, ["b", "a", "c"]);
        let back = |history: &mut PromptHistory, now: &str| history.earlier(now);
        assert_eq!(back(&mut history, "half").as_deref(), Some("c"));
        assert_eq!(back(&mut history, "c").as_deref(), Some("a"));
        assert_eq!(back(&mut history, "a").as_deref(), Some("b"));
        assert_eq!(back(&mut history, "b"), None);
        assert_eq!(history.later().as_deref(), Some("a"));
        assert_eq!(history.later().as_deref(), Some("c"));
        assert_eq!(history.later().as_deref(), Some("half"));
        assert_eq!(history.later(), None);
        // The last one is in the field already.
        assert_eq!(back(&mut history, "c").as_deref(), Some("a"));
    }

    #[test]
    fn they_are_there_at_the_next_start_and_not_endless() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prompts.json");
        let mut history = PromptHistory::default();
        history.keep_in(file.clone());
        let mut last = None;
        for i in 0..130 {
            last = history.add(&format!("prompt {i}"));
        }
        let (path, json) = last.unwrap();
        std::fs::write(path, json).unwrap();
        let mut again = PromptHistory::default();
        again.keep_in(file);
        assert_eq!(again.prompts.len(), MOST);
        assert_eq!(again.earlier("").as_deref(), Some("prompt 129"));
    }
}
