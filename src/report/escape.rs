//! Text inside of other languages: stage names are the user's and may hold anything.

use std::fmt;

/// A text as a string of JSON that may stand in a page's script, too.
pub(super) struct Json<'a>(pub(super) &'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for letter in self.0.chars() {
            match letter {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                // No end of a line or of a script.
                '\0'..='\u{1f}' | '<' | '\u{2028}' | '\u{2029}' => {
                    write!(f, "\\u{:04x}", u32::from(letter))?;
                }
                _ => write!(f, "{letter}")?,
            }
        }
        f.write_str("\"")
    }
}

/// A text in the body of a page or in a quoted attribute.
pub(super) struct Html<'a>(pub(super) &'a str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => write!(f, "{letter}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn json_reads_back_as_what_was_written(text in any::<String>()) {
            let told = Json(&text).to_string();
            prop_assert_eq!(serde_json::from_str::<String>(&told).ok(), Some(text));
            prop_assert!(!told.contains('<') && !told.contains('\n'));
        }
    }

    #[test]
    fn no_letter_opens_a_tag_or_ends_an_attribute() {
        assert_eq!(
            Html("<a b=\"c\" d='e'>&").to_string(),
            "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;"
        );
        assert_eq!(
            Json("</script>\n\"\\\u{1}é ").to_string(),
            r#""\u003c/script>\u000a\"\\\u0001é ""#
        );
    }
}
