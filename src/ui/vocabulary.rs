//! Which words of a prompt a pair was never taught.

use std::collections::BTreeSet;

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

/// The prompt's words that are in no slot of `vocabulary`, each once, in order. Nothing for a pair
/// without a vocabulary: it understands free text.
pub fn unknown_words(prompt: &str, vocabulary: &[(String, Vec<String>)]) -> Vec<String> {
    if vocabulary.is_empty() {
        return Vec::new();
    }
    // An entry may be several words, such as `light blue`; each of them is known.
    let known: BTreeSet<String> = vocabulary
        .iter()
        .flat_map(|(_, words)| words)
        .flat_map(|entry| split(entry))
        .collect();
    let mut unknown = Vec::new();
    for word in split(prompt) {
        let fits = known.contains(&word) || FILLERS.contains(&word.as_str());
        let is_number = word.chars().all(|c| c.is_ascii_digit());
        if !fits && !is_number && !unknown.contains(&word) {
            unknown.push(word);
        }
    }
    unknown
}

fn split(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
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
    fn names_what_the_pair_does_not_know() {
        let unknown = unknown_words(
            "A red dragon over a light-blue CIRCLE, dragon!",
            &vocabulary(),
        );
        assert_eq!(unknown, ["dragon"]);
    }

    #[test]
    fn a_pair_that_reads_anything_has_no_unknown_words() {
        assert!(unknown_words("xyzzy", &[]).is_empty());
    }
}
