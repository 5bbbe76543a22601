//! Which words of a prompt a pair was never taught.

use std::collections::BTreeSet;
use std::ops::Range;

/// Words that carry a sentence but no picture; every pair reads over them.
const FILLERS: [&str; 40] = [
    "a",
    "an",
    "and",
    "are",
    "around",
    "as",
    "at",
    "by",
    "for",
    "from",
    "in",
    "into",
    "is",
    "it",
    "its",
    "moving",
    "of",
    "off",
    "on",
    "one",
    "onto",
    "or",
    "other",
    "over",
    "that",
    "the",
    "then",
    "there",
    "this",
    "to",
    "towards",
    "two",
    "under",
    "up",
    "video",
    "while",
    "with",
    "background",
    "down",
    "clip",
];

/// Where the prompt's words are that are in no slot of `vocabulary`, in bytes, in order. Nothing for a
/// pair without a vocabulary: it understands free text.
pub fn unknown_spans(prompt: &str, vocabulary: &[(String, Vec<String>)]) -> Vec<Range<usize>> {
    if vocabulary.is_empty() {
        return Vec::new();
    }
    // An entry may be several words, such as `light blue`; each of them is known.
    let known: BTreeSet<String> = vocabulary
        .iter()
        .flat_map(|(_, words)| words)
        .flat_map(|entry| words(entry).map(|(_, word)| word.to_lowercase()))
        .collect();
    let is_unknown = |word: &str| {
        let lower = word.to_lowercase();
        let is_number = word.chars().all(|c| c.is_ascii_digit());
        !is_number && !known.contains(&lower) && !FILLERS.contains(&lower.as_str())
    };
    words(prompt)
        .filter(|(_, word)| is_unknown(word))
        .map(|(at, word)| at..at + word.len())
        .collect()
}

/// The prompt's words that are in no slot of `vocabulary`, each once, in lower case.
pub fn unknown_words(prompt: &str, vocabulary: &[(String, Vec<String>)]) -> Vec<String> {
    let mut found = Vec::new();
    for span in unknown_spans(prompt, vocabulary) {
        let word = prompt[span].to_lowercase();
        if !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

/// Words and where they begin.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut end = 0;
    std::iter::from_fn(move || {
        let start = end + text[end..].find(char::is_alphanumeric)?;
        let is_over = |c: char| !c.is_alphanumeric();
        end = text[start..]
            .find(is_over)
            .map_or(text.len(), |length| start + length);
        Some((start, &text[start..end]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vec<(String, Vec<String>)> {
        vec![
            ("colour".into(), vec!["red".into(), "light blue".into()]),
            ("shape".into(), vec!["circle".into(), "star".into()]),
        ]
    }

    #[test]
    fn finds_and_names_what_the_pair_does_not_know() {
        let prompt = "A red dragon over a light-blue CIRCLE, 2 Dragon! ñandú";
        let spans = unknown_spans(prompt, &vocabulary());
        let found: Vec<_> = spans.iter().map(|span| &prompt[span.clone()]).collect();
        assert_eq!(found, ["dragon", "Dragon", "ñandú"]);
        assert_eq!(unknown_words(prompt, &vocabulary()), ["dragon", "ñandú"]);
    }

    #[test]
    fn a_pair_that_reads_anything_has_no_unknown_words() {
        assert!(unknown_spans("xyzzy", &[]).is_empty());
    }
}
