//! Tokenizers in SentencePiece's own files (`spiece.model`), which is all that T5 was published with:
//! the part of the format that a unigram tokenizer needs (sentencepiece_model.proto of
//! github.com/google/sentencepiece), read as protobuf's wire format.

use serde_json::json;
use tokenizers::Tokenizer;
use tokenizers::normalizers::Precompiled;

/// A piece's kinds, as far as they matter.
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;

/// The mark that ends a prompt.
const END: &str = "</s>";

/// Makes a tokenizer of a file's bytes, as transformers' `T5Tokenizer` does; the error is what is
/// wrong with them.
pub(super) fn tokenizer(bytes: &[u8]) -> Result<Tokenizer, String> {
    let model = Model::read(bytes).ok_or("it is not a whole SentencePiece model")?;
    if model.kind != Model::UNIGRAM {
        return Err("it is not a unigram model".into());
    }
    let position = |wanted: &dyn Fn(&Piece) -> bool| model.pieces.iter().position(wanted);
    let unknown = position(&|piece| piece.kind == UNKNOWN).ok_or("it has no unknown piece")?;
    let end = position(&|piece| piece.text == END).ok_or("it has no end mark </s>")?;
    let special: Vec<_> = model
        .pieces
        .iter()
        .enumerate()
        .filter(|(_, piece)| [UNKNOWN, CONTROL].contains(&piece.kind))
        .map(|(id, piece)| {
            json!({
                "id": id, "content": piece.text, "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false,
            })
        })
        .collect();
    let vocabulary: Vec<_> = model.pieces.iter().map(|p| (&p.text, p.score)).collect();
    let file = json!({
        "version": "1.0",
        "added_tokens": special,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        ]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": END, "type_id": 0}},
            ],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {END: {"id": END, "ids": [end], "tokens": [END]}},
        },
        "model": {
            "type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": false,
        },
    });
    let mut tokenizer = Tokenizer::from_bytes(file.to_string()).map_err(|e| e.to_string())?;
    if !model.characters.is_empty() {
        if !is_sound(model.characters) {
            return Err("its rules for characters are spoilt".into());
        }
        let rules = Precompiled::from(model.characters).map_err(|e| e.to_string())?;
        let outcome = tokenizer.with_normalizer(Some(rules)).map(drop);
        outcome.map_err(|e| e.to_string())?;
    }
    Ok(tokenizer)
}

/// Whether compiled rules for characters lead nowhere outside themselves; their reader takes that for
/// granted. They are a length, that many bytes of a double-array trie (Aoe 1989, as laid out by
/// darts-clone) in words of 32 bits, and the texts that its leaves point at, each ended by a zero.
fn is_sound(characters: &[u8]) -> bool {
    let Some((length, rest)) = characters.split_first_chunk::<4>() else {
        return false;
    };
    let Some((trie, texts)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize) else {
        return false;
    };
    let Ok(texts) = str::from_utf8(texts) else {
        return false;
    };
    let (units, []) = trie.as_chunks::<4>() else {
        return false;
    };
    let unit = |at: usize| {
        units
            .get(at)
            .map(|bytes| u32::from_le_bytes(*bytes) as usize)
    };
    let leads_inside = |at: usize, word: usize| {
        let offset = (word >> 10) << ((word & (1 << 9)) >> 6);
        let next = at ^ offset;
        // A step goes anywhere in a block of 256.
        if next | 0xff >= units.len() {
            return false;
        }
        let has_leaf = word >> 8 & 1 == 1;
        let text = unit(next).map_or(usize::MAX, |leaf| leaf & 0x7fff_ffff);
        !has_leaf || texts.is_char_boundary(text)
    };
    // A leaf is not walked on from; the walk starts at the first unit, whatever that is.
    let is_leaf = |at: usize, word: usize| at > 0 && word >> 31 == 1;
    !units.is_empty()
        && (0..units.len())
            .all(|at| unit(at).is_some_and(|word| is_leaf(at, word) || leads_inside(at, word)))
}

struct Piece {
    text: String,
    score: f32,
    kind: u64,
}

struct Model<'a> {
    pieces: Vec<Piece>,
    kind: u64,
    /// How characters are normalised, in SentencePiece's compiled form.
    characters: &'a [u8],
}

impl<'a> Model<'a> {
    const UNIGRAM: u64 = 1;

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut model = Self {
            pieces: Vec::new(),
            kind: Self::UNIGRAM,
            characters: &[],
        };
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(piece)) => model.pieces.push(Piece::read(piece)?),
                (2, Value::Bytes(trainer)) => {
                    for field in Fields(trainer) {
                        if let (3, Value::Number(kind)) = field? {
                            model.kind = kind;
                        }
                    }
                }
                (3, Value::Bytes(normalizer)) => {
                    for field in Fields(normalizer) {
                        if let (2, Value::Bytes(characters)) = field? {
                            model.characters = characters;
                        }
                    }
                }
                _ => {}
            }
        }
        (!model.pieces.is_empty()).then_some(model)
    }
}

impl Piece {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut piece = Self {
            text: String::new(),
            score: 0.0,
            kind: 1,
        };
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(text)) => piece.text = str::from_utf8(text).ok()?.to_owned(),
                (2, Value::Four(score)) => piece.score = f32::from_le_bytes(score),
                (3, Value::Number(kind)) => piece.kind = kind,
                _ => {}
            }
        }
        Some(piece)
    }
}

/// One value of protobuf's wire format.
enum Value<'a> {
    Number(u64),
    Four([u8; 4]),
    Eight,
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers; `None` ends a message that breaks off.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Eight)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Four(self.take(4)?.try_into().ok()?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::tokenizer;

    fn fixture(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ltx");
        std::fs::read(folder.join(name)).unwrap()
    }

    #[test]
    fn tokens_are_those_of_sentencepiece() {
        let tokenizer = tokenizer(&fixture("spiece.model")).unwrap();
        let cases: Vec<(String, Vec<u32>)> =
            serde_json::from_slice(&fixture("spiece.json")).unwrap();
        assert!(cases.len() > 8);
        for (text, ids) in cases {
            let encoding = tokenizer.encode(text.as_str(), true).unwrap();
            assert_eq!(encoding.get_ids(), ids, "{text:?}");
        }
    }

    #[test]
    fn flipped_bits_never_panic() {
        let bytes = fixture("spiece.model");
        let mut refused = 0;
        for at in 0..bytes.len() {
            for bit in [0, 3, 7] {
                let mut spoilt = bytes.clone();
                spoilt[at] ^= 1 << bit;
                match tokenizer(&spoilt) {
                    Ok(tokenizer) => {
                        let text = "caf\u{e9} \u{fb01}sh \u{ff21} a red circle \u{1f600}";
                        drop(tokenizer.encode(text, true));
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > 100);
    }

    #[test]
    fn files_cut_short_are_refused() {
        let bytes = fixture("spiece.model");
        // Cut inside a field; between two of them the rest may still be a model.
        let cuts = (0..bytes.len()).step_by(7);
        let refused = cuts.filter(|cut| tokenizer(&bytes[..*cut]).is_err());
        assert!(refused.count() > 200);
        assert!(tokenizer(b"{\"version\": \"1.0\"}").is_err());
        assert!(tokenizer(&[]).is_err());
        // A length that the file does not have.
        assert!(tokenizer(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_err());
    }
}
