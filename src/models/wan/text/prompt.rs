//! Prompt cleaning as in the reference pipeline (`prompt_clean` in diffusers' WanPipeline): HTML
//! entities are resolved twice, whitespace is collapsed.
//!
//! Two things are left out. The reference first repairs wrongly decoded text ("donâ€™t") where the
//! ftfy package is installed; and of the two thousand named HTML entities only those that prompts
//! are likely to hold are known here, the others stay as they are. Numbered entities are all
//! resolved.

/// The cleaned prompt.
pub(super) fn clean(prompt: &str) -> String {
    let text = unescape(&unescape(prompt));
    text.split(is_space)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// What a regular expression of the reference takes for whitespace: Unicode's, and the four
/// separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Resolves HTML entities once.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match entity(rest) {
            Some((value, length)) => {
                out.push(value);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The character of the entity at the start of `text`, and the entity's length in bytes.
fn entity(text: &str) -> Option<(char, usize)> {
    let body = &text[1..];
    if let Some(number) = body.strip_prefix('#') {
        let (digits, radix, prefix) = match number.strip_prefix(['x', 'X']) {
            Some(digits) => (digits, 16, 3),
            None => (number, 10, 2),
        };
        let length = digits
            .bytes()
            .take_while(|b| char::from(*b).is_digit(radix))
            .count();
        if length == 0 {
            return None;
        }
        let code = u32::from_str_radix(&digits[..length], radix).unwrap_or(u32::MAX);
        let end = prefix + length + usize::from(digits[length..].starts_with(';'));
        let value = if code == 0 {
            None
        } else {
            char::from_u32(code)
        };
        return Some((value.unwrap_or(char::REPLACEMENT_CHARACTER), end));
    }
    let (name, _) = body.split_once(';')?;
    let (_, value) = NAMED.iter().find(|(known, _)| *known == name)?;
    Some((*value, name.len() + 2))
}

/// Names of the HTML standard.
const NAMED: &[(&str, char)] = &[
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("lsquo", '\u{2018}'),
    ("rsquo", '\u{2019}'),
    ("sbquo", '\u{201a}'),
    ("ldquo", '\u{201c}'),
    ("rdquo", '\u{201d}'),
    ("bdquo", '\u{201e}'),
    ("laquo", '\u{ab}'),
    ("raquo", '\u{bb}'),
    ("ndash", '\u{2013}'),
    ("mdash", '\u{2014}'),
    ("hellip", '\u{2026}'),
    ("bull", '\u{2022}'),
    ("middot", '\u{b7}'),
    ("deg", '\u{b0}'),
    ("times", '\u{d7}'),
    ("divide", '\u{f7}'),
    ("plusmn", '\u{b1}'),
    ("frac12", '\u{bd}'),
    ("copy", '\u{a9}'),
    ("reg", '\u{ae}'),
    ("trade", '\u{2122}'),
    ("euro", '\u{20ac}'),
    ("pound", '\u{a3}'),
    ("yen", '\u{a5}'),
    ("cent", '\u{a2}'),
    ("sect", '\u{a7}'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("agrave", 'à'),
    ("aacute", 'á'),
    ("acirc", 'â'),
    ("aring", 'å'),
    ("aelig", 'æ'),
    ("ccedil", 'ç'),
    ("egrave", 'è'),
    ("eacute", 'é'),
    ("ecirc", 'ê'),
    ("iacute", 'í'),
    ("ntilde", 'ñ'),
    ("oacute", 'ó'),
    ("ocirc", 'ô'),
    ("oslash", 'ø'),
    ("uacute", 'ú'),
];

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn entities_and_whitespace() {
        assert_eq!(
            clean("  a\tred\n\ncircle\u{3000}\u{1f}on  blue "),
            "a red circle on blue"
        );
        assert_eq!(clean("salt &amp; pepper"), "salt & pepper");
        assert_eq!(clean("salt &amp;amp; pepper"), "salt & pepper");
        assert_eq!(
            clean("&lt;b&gt; caf&eacute; &#233; &#xe9; &#233"),
            "<b> café é é é"
        );
        assert_eq!(
            clean("rock & roll; R&D &unknown; &"),
            "rock & roll; R&D &unknown; &"
        );
        assert_eq!(clean("&#0; &#x110000;"), "\u{fffd} \u{fffd}");
        assert_eq!(clean("&#; &#x;"), "&#; &#x;");
        assert_eq!(clean(""), "");
    }
}
