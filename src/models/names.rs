/// How the authors of a model name its tensors in their own files, as a table: a pattern of theirs
/// and the one that diffusers or transformers has for it.
///
/// In a pattern `{}` stands for one number between dots, and a `*` at the end for the rest of the
/// name. Both sides of a row have as many numbers.
#[derive(Debug)]
pub(super) struct Names {
    /// What may stand before every name of theirs, and is dropped.
    pub(super) prefixes: &'static [&'static str],
    /// Theirs and ours; the first that fits counts.
    pub(super) stems: &'static [(&'static str, &'static str)],
    /// What a `*` of [`stems`](Self::stems) may stand for, where that changes too.
    pub(super) tails: &'static [(&'static str, &'static str)],
    /// Names that do not belong to this part of the model: they begin so.
    pub(super) foreign: &'static [&'static str],
}

impl Names {
    /// Our name for what a file calls `name`; `None` where it belongs to another part of the model.
    /// What the table does not know keeps its name.
    pub(super) fn ours(&self, name: &str) -> Option<String> {
        let prefix = self.prefixes.iter().find(|p| name.starts_with(**p));
        let bare = &name[prefix.map_or(0, |p| p.len())..];
        if self.foreign.iter().any(|start| name.starts_with(start)) {
            return None;
        }
        Some(self.translate(bare, |(theirs, ours)| (theirs, ours)))
    }

    /// The inverse of [`ours`](Self::ours), without a prefix.
    #[cfg(test)]
    pub(super) fn theirs(&self, name: &str) -> String {
        self.translate(name, |(theirs, ours)| (ours, theirs))
    }

    fn translate(
        &self,
        name: &str,
        way: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
    ) -> String {
        for row in self.stems {
            let (from, to) = way(*row);
            if let Some((numbers, rest)) = parse(from, name) {
                let tail = self.tails.iter().map(|row| way(*row));
                let tail = tail.clone().find(|(from, _)| *from == rest);
                return fill(to, &numbers, tail.map_or(rest, |(_, to)| to));
            }
        }
        name.to_owned()
    }
}

/// The numbers of a name that a pattern fits, and what its `*` stands for.
fn parse<'a>(pattern: &str, name: &'a str) -> Option<(Vec<&'a str>, &'a str)> {
    let mut numbers = Vec::new();
    let mut rest = name;
    for part in pattern.split('.') {
        if part == "*" {
            return (!rest.is_empty()).then_some((numbers, rest));
        }
        let (head, tail) = rest.split_once('.').unwrap_or((rest, ""));
        if part == "{}" && !head.is_empty() && head.bytes().all(|b| b.is_ascii_digit()) {
            numbers.push(head);
        } else if part != head {
            return None;
        }
        rest = tail;
    }
    rest.is_empty().then_some((numbers, ""))
}

fn fill(pattern: &str, numbers: &[&str], rest: &str) -> String {
    let mut numbers = numbers.iter();
    let parts = pattern.split('.').map(|part| match part {
        "{}" => numbers.next().copied().unwrap_or_default(),
        "*" => rest,
        other => other,
    });
    parts.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::Names;

    const NAMES: Names = Names {
        prefixes: &["model."],
        stems: &[("a.{}.b.*", "x.{}.*"), ("c.0.*", "y.z.*"), ("d.e", "f")],
        tails: &[("0.weight", "proj.weight")],
        foreign: &["vae."],
    };

    #[test]
    fn names_are_translated_both_ways() {
        for (theirs, ours) in [
            ("a.12.b.bias", "x.12.bias"),
            ("a.3.b.0.weight", "x.3.proj.weight"),
            ("c.0.q.r", "y.z.q.r"),
            ("d.e", "f"),
            ("unknown.name", "unknown.name"),
            ("a.n.b.bias", "a.n.b.bias"),
        ] {
            assert_eq!(NAMES.ours(theirs).as_deref(), Some(ours));
            assert_eq!(
                NAMES.ours(&format!("model.{theirs}")).as_deref(),
                Some(ours)
            );
            assert_eq!(NAMES.theirs(ours), theirs);
        }
        assert_eq!(NAMES.ours("vae.conv"), None);
    }
}
