//! Path templates: `/v1/{name=messages/*}:cancel`.
//!
//! ```text
//! Template  = "/" Segments [ ":" Literal ]
//! Segments  = Segment { "/" Segment }
//! Segment   = "*" | "**" | Literal | "{" FieldPath [ "=" Segments ] "}"
//! ```
//! `**` takes any number of segments, so it stands last or nowhere.

/// What one segment of a path must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(String),
    /// Exactly one segment, not empty.
    One,
    /// Whatever is left, also nothing.
    Rest,
}

/// A variable and the segments it spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Names of fields, outermost first.
    pub path: Vec<String>,
    pub start: usize,
    pub end: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub segments: Vec<Segment>,
    pub variables: Vec<Variable>,
    pub verb: Option<String>,
}

impl Template {
    /// Errors are phrases that read on after the template.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let path = text.strip_prefix('/').ok_or("must begin with `/`")?;
        let (path, verb) = split_verb(path)?;
        let mut template = Self { segments: Vec::new(), variables: Vec::new(), verb };
        for piece in split_segments(path)? {
            template.push(piece)?;
        }
        let rest = template.segments.iter().position(|segment| *segment == Segment::Rest);
        if rest.is_some_and(|at| at + 1 != template.segments.len()) {
            return Err("has something behind `**`, which takes all there is");
        }
        for (i, variable) in template.variables.iter().enumerate() {
            if template.variables[..i].iter().any(|other| other.path == variable.path) {
                return Err("names a variable twice");
            }
        }
        Ok(template)
    }

    fn push(&mut self, piece: &str) -> Result<(), &'static str> {
        let Some(variable) = piece.strip_prefix('{') else {
            self.segments.push(plain(piece)?);
            return Ok(());
        };
        let variable = variable.strip_suffix('}').ok_or("has a `{` without its `}`")?;
        let (path, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if !path.iter().all(|name| is_identifier(name)) {
            return Err("has a variable that is not a field path");
        }
        let start = self.segments.len();
        for piece in pattern.split('/') {
            self.segments.push(plain(piece)?);
        }
        self.variables.push(Variable { path, start, end: self.segments.len() });
        Ok(())
    }

    /// Of a path that the template matches (without its leading slash and verb), the part that a variable spans.
    pub fn capture<'p>(&self, variable: &Variable, path: &'p str) -> &'p str {
        let mut start = path;
        for _ in 0..variable.start {
            start = start.split_once('/').map_or("", |(_, tail)| tail);
        }
        if self.segments[variable.end - 1] == Segment::Rest {
            return start;
        }
        let ends = start.match_indices('/').map(|(at, _)| at).nth(variable.end - variable.start - 1);
        ends.map_or(start, |end| &start[..end])
    }

    /// Whether the value of a variable may hold slashes, which keeps its `%2F` apart from them.
    pub fn spans_many(&self, variable: &Variable) -> bool {
        variable.end - variable.start > 1 || self.segments[variable.start] == Segment::Rest
    }
}

fn split_verb(path: &str) -> Result<(&str, Option<String>), &'static str> {
    let outside = path.rfind(['/', '}']).map_or(0, |at| at + 1);
    let Some(at) = path[outside..].find(':').map(|at| at + outside) else {
        return Ok((path, None));
    };
    let verb = &path[at + 1..];
    if !is_literal(verb) {
        return Err("has a verb that is not a plain word");
    }
    Ok((&path[..at], Some(verb.to_owned())))
}

/// Splits at the slashes that are not inside of a variable.
fn split_segments(path: &str) -> Result<Vec<&str>, &'static str> {
    let mut pieces = Vec::new();
    let mut inside = false;
    let mut start = 0;
    for (at, character) in path.char_indices() {
        match (character, inside) {
            ('{', true) => return Err("has a variable inside of a variable"),
            ('{', false) => inside = true,
            ('}', false) => return Err("has a `}` without its `{`"),
            ('}', true) => inside = false,
            ('/', false) => {
                pieces.push(&path[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err("has a `{` without its `}`");
    }
    pieces.push(&path[start..]);
    Ok(pieces)
}

fn plain(piece: &str) -> Result<Segment, &'static str> {
    match piece {
        "*" => Ok(Segment::One),
        "**" => Ok(Segment::Rest),
        "" => Err("has an empty segment"),
        literal if is_literal(literal) => Ok(Segment::Literal(literal.to_owned())),
        _ => Err("has a segment that is neither a literal nor a variable"),
    }
}

fn is_literal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;@".contains(&byte))
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
