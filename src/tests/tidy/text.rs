//! Reading source as text: what is code, what is comment, what is a test. A few lines of lexing are
//! enough, because the formatter keeps the text regular.

/// One line of a file. `code` has comments cut off and the insides of strings blanked.
pub struct Line {
    pub number: usize,
    pub raw: String,
    pub code: String,
    pub is_test: bool,
}

impl Line {
    pub fn is_comment(&self) -> bool {
        self.raw.trim_start().starts_with("//")
    }
}

/// Test modules stand at the foot of a file: from their `cfg(test)` on, everything is test.
pub fn lines(text: &str, is_rust: bool, all_test: bool) -> Vec<Line> {
    let mut is_test = all_test;
    let raws: Vec<&str> = text.lines().collect();
    raws.iter()
        .enumerate()
        .map(|(index, raw)| {
            is_test |= is_rust && opens_tests(raw, raws.get(index + 1).copied().unwrap_or(""));
            let code = if is_rust { code_of(raw) } else { (*raw).to_owned() };
            Line { number: index + 1, raw: (*raw).to_owned(), code, is_test }
        })
        .collect()
}

fn opens_tests(line: &str, next: &str) -> bool {
    (line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test"))
        && next.starts_with("mod ")
        && next.trim_end().ends_with('{')
}

/// The code of a line of Rust.
pub fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '/' if characters.peek() == Some(&'/') => break,
            '"' => {
                code.push_str("\"\"");
                skip_string(&mut characters);
            }
            '\'' if characters.clone().nth(1) == Some('\'') => {
                code.push_str("''");
                characters.nth(1);
            }
            _ => code.push(c),
        }
    }
    code
}

fn skip_string(characters: &mut impl Iterator<Item = char>) {
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                characters.next();
            }
            '"' => return,
            _ => {}
        }
    }
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` stands in `code` by itself; at the ends of `word` that are not letters, anything may follow.
pub fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let begins = !word.starts_with(is_word_part) || !before.is_some_and(is_word_part);
        let ends = !word.ends_with(is_word_part) || !after.is_some_and(is_word_part);
        begins && ends
    })
}

/// The identifiers that follow `prefix`, as in `crate::table::…` → `table`.
pub fn after_each<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(prefix).map(move |(at, _)| {
        let rest = &code[at + prefix.len()..];
        &rest[..rest.find(|c| !is_word_part(c)).unwrap_or(rest.len())]
    })
}
