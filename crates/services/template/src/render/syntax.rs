//! Which part of minijinja's language templates may use. Many tenants' templates share a process, and fuel bounds steps but not the
//! memory of one step: a dozen doublings in `set`, a `replace` in a chain or `"x" * 100000000` would take gigabytes. So what can
//! grow a text other than by looping over what was given is refused when a template is compiled.

/// Tags that hold no state from one step to the next.
const TAGS: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];
/// Filters whose output is not larger than their input by more than a little.
const FILTERS: [&str; 14] =
    ["money", "number", "date", "time", "list", "translate", "default", "d", "upper", "lower", "trim", "length", "first", "last"];
/// Joining texts grows them by no more than this many times.
const MOST_JOINS: usize = 32;

/// What is refused, and on which line.
pub(super) struct Refusal {
    pub line: usize,
    pub problem: String,
}

/// Looks at a template that minijinja has parsed. Dictionaries and `raw` are refused too, without which `{{` and `}}` are found
/// where minijinja finds them, so that nothing can hide from this check.
pub(super) fn check(source: &str) -> Result<(), Refusal> {
    let mut scanner = Scanner { source, position: 0, joins: 0 };
    scanner.template().map_err(|problem| Refusal { line: source[..scanner.position].matches('\n').count() + 1, problem })
}

struct Scanner<'a> {
    source: &'a str,
    /// Always on the boundary of a character.
    position: usize,
    joins: usize,
}

impl<'a> Scanner<'a> {
    fn template(&mut self) -> Result<(), String> {
        while let Some(start) = self.rest().find('{') {
            self.position += start;
            match self.rest().as_bytes().get(1) {
                Some(b'#') => self.position += self.rest().find("#}").map_or(self.rest().len(), |end| end + 2),
                Some(b'{') => {
                    self.position += 2;
                    self.expression("}}")?;
                }
                Some(b'%') => {
                    self.position += 2;
                    self.tag()?;
                }
                _ => self.position += 1,
            }
        }
        Ok(())
    }

    fn tag(&mut self) -> Result<(), String> {
        self.skip(|character| matches!(character, '-' | '+'));
        self.skip(char::is_whitespace);
        let tag = self.skip(is_name);
        if !TAGS.contains(&tag) {
            return Err(format!("templates have no `{{% {tag} %}}`; they have if and for"));
        }
        self.expression("%}")
    }

    /// Up to and with what closes it.
    fn expression(&mut self, close: &str) -> Result<(), String> {
        while let Some(character) = self.rest().chars().next() {
            if self.rest().starts_with(close) {
                self.position += close.len();
                return Ok(());
            }
            if is_name(character) {
                if self.skip(is_name) == "recursive" {
                    return Err("loops cannot be recursive; write out the levels".to_owned());
                }
                continue;
            }
            match character {
                '*' => return Err("templates cannot multiply; give the result as a variable".to_owned()),
                '{' => return Err("templates have no dictionaries; give them as variables".to_owned()),
                '"' | '\'' => {
                    self.literal(character);
                    continue;
                }
                '~' | '+' => {
                    self.joins += 1;
                    if self.joins > MOST_JOINS {
                        return Err(format!("a template can use ~ and + at most {MOST_JOINS} times; write text outside of {{{{ }}}}"));
                    }
                }
                '|' => {
                    self.position += 1;
                    self.skip(char::is_whitespace);
                    let start = self.position;
                    let filter = self.skip(is_name);
                    if !FILTERS.contains(&filter) {
                        self.position = start;
                        return Err(format!("there is no filter `{filter}`; there are {}", FILTERS.join(", ")));
                    }
                    continue;
                }
                _ => {}
            }
            self.position += character.len_utf8();
        }
        Ok(())
    }

    fn literal(&mut self, quote: char) {
        let mut escaped = false;
        let end = self.rest().char_indices().skip(1).find(|&(_, character)| {
            let ends = character == quote && !escaped;
            escaped = character == '\\' && !escaped;
            ends
        });
        self.position += end.map_or(self.rest().len(), |(end, quote)| end + quote.len_utf8());
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.source[self.position..];
        let end = rest.find(|character| !wanted(character)).unwrap_or(rest.len());
        self.position += end;
        &rest[..end]
    }

    fn rest(&self) -> &'a str {
        &self.source[self.position..]
    }
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
