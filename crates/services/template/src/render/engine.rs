use std::io;

use minijinja::{Environment, Error as JinjaError, ErrorKind, UndefinedBehavior, Value, syntax::SyntaxConfig, value::ValueKind};
use serde_json::{Map, Value as Json};

use super::{Context, Error, LONGEST_PARAMETER, LONGEST_TEXT, Part, Place, context::Root, diagnose, filters, syntax, values};

/// Enough for some hundreds of items, few enough to end within milliseconds.
const FUEL: u64 = 20_000;
/// Deeper than anyone nests `if` and `for`.
const DEEPEST: usize = 64;
/// The longest a text is while its spaces at both ends are still on it.
const SLACK: usize = 1_024;

/// Compiles and renders templates. Cheap to share, nothing in it changes.
pub struct Engine {
    environment: Environment<'static>,
}

/// A template as it is written.
#[derive(Clone, Debug, Default)]
pub struct Source<'a> {
    pub body: &'a str,
    /// A template for the address of a document; empty without one.
    pub document_url: &'a str,
    /// With one expression for each parameter.
    pub meta: Option<Meta>,
}

/// A template that compiled. A few kilobytes.
pub struct Compiled {
    environment: Environment<'static>,
    meta: Option<Meta>,
    document: bool,
}

/// One of Meta's templates: in a [`Source`] with expressions as parameters, in a [`Rendering`] with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    pub name: String,
    pub language: String,
    pub parameters: Vec<String>,
    pub document_header: bool,
}

/// A template, filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendering {
    /// The free text, without spaces and empty lines at both ends; at most [`LONGEST_TEXT`] characters.
    pub text: String,
    /// Empty without a document.
    pub document_url: String,
    pub meta: Option<Meta>,
}

impl Engine {
    pub fn new() -> Self {
        let mut environment = Environment::new();
        for global in ["range", "dict", "debug", "namespace"] {
            environment.remove_global(global);
        }
        filters::add_to(&mut environment);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(write_plain);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(DEEPEST);
        // Errors then say which expression was undefined.
        environment.set_debug(true);
        // A line that holds nothing but a tag leaves no empty line behind. The delimiters are the standard ones, which are valid.
        if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
            environment.set_syntax(syntax);
        }
        Self { environment }
    }

    /// # Errors
    /// `TemplateInvalid`, with the part and the line.
    pub fn compile(&self, source: &Source<'_>) -> Result<Compiled, Error> {
        let mut environment = self.environment.clone();
        add(&mut environment, Part::Body, source.body)?;
        add(&mut environment, Part::DocumentUrl, source.document_url)?;
        for (index, expression) in source.meta.iter().flat_map(|meta| &meta.parameters).enumerate() {
            let part = Part::Parameter(index);
            // Alone first: between braces, `a }} {{ b` would pass for an expression.
            environment.compile_expression_owned(expression.clone()).map_err(|error| diagnose::compile_error(&error, part))?;
            add(&mut environment, part, &format!("{{{{ {expression} }}}}"))?;
        }
        Ok(Compiled { environment, meta: source.meta.clone(), document: !source.document_url.trim().is_empty() })
    }

    /// # Errors
    /// Any of [`Error`]; the first fault in the order body, document address, parameters.
    pub fn render(&self, compiled: &Compiled, context: &Context) -> Result<Rendering, Error> {
        compiled.render(context)
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Compiled {
    /// As [`Engine::render`].
    pub fn render(&self, context: &Context) -> Result<Rendering, Error> {
        check_lengths(&context.variables)?;
        let root = Value::from_object(Root::new(context));
        let text = self.part(Part::Body, LONGEST_TEXT, &root, &context.variables)?;
        if text.is_empty() {
            return Err(empty(Part::Body, "comes out empty; write some text that is always there"));
        }
        let document_url = match self.document {
            true => self.part(Part::DocumentUrl, LONGEST_TEXT, &root, &context.variables)?,
            false => String::new(),
        };
        let meta = self.meta.as_ref().map(|meta| self.fill(meta, &root, &context.variables)).transpose()?;
        Ok(Rendering { text, document_url, meta })
    }

    fn fill(&self, meta: &Meta, root: &Value, variables: &Map<String, Json>) -> Result<Meta, Error> {
        let parameter = |index| {
            let part = Part::Parameter(index);
            let value = on_one_line(&self.part(part, LONGEST_PARAMETER, root, variables)?);
            if value.is_empty() {
                return Err(empty(part, "comes out empty, which Meta refuses; end its expression in something like `or \"-\"`"));
            }
            Ok(value)
        };
        let parameters = (0..meta.parameters.len()).map(parameter).collect::<Result<_, _>>()?;
        Ok(Meta { parameters, ..meta.clone() })
    }

    fn part(&self, part: Part, limit: usize, root: &Value, variables: &Map<String, Json>) -> Result<String, Error> {
        let too_long = Error::TextTooLong { place: Place { part, line: 0 }, limit };
        let template = self.environment.get_template(&part.field()).map_err(|error| diagnose::compile_error(&error, part))?;
        let mut output = Bounded { bytes: Vec::new(), room: limit + SLACK };
        template
            .render_captured_to(root.clone(), &mut output)
            .map_err(|error| diagnose::render_error(&error, part, limit, template.source(), variables))?;
        // minijinja writes whole strings only.
        let text = String::from_utf8(output.bytes).map_err(|_| too_long.clone())?;
        let text = text.trim();
        if text.chars().count() > limit { Err(too_long) } else { Ok(text.to_owned()) }
    }
}

fn add(environment: &mut Environment<'static>, part: Part, source: &str) -> Result<(), Error> {
    environment.add_template_owned(part.field(), source.to_owned()).map_err(|error| diagnose::compile_error(&error, part))?;
    syntax::check(source).map_err(|refusal| diagnose::refusal(refusal, part))
}

fn empty(part: Part, problem: &'static str) -> Error {
    Error::TemplateInvalid { place: Place { part, line: 0 }, problem: problem.into() }
}

/// A text that cannot be sent as a whole cannot be part of one; refusing it here bounds what filters work on.
fn check_lengths(variables: &Map<String, Json>) -> Result<(), Error> {
    let longer = |json: &Json| json.as_str().is_some_and(|text| text.len() > LONGEST_TEXT && text.chars().count() > LONGEST_TEXT);
    match values::names_of(variables, &longer).into_iter().next() {
        None => Ok(()),
        Some(name) => Err(Error::VariableInvalid {
            place: Place { part: Part::Body, line: 0 },
            name,
            problem: format!("is longer than a message, which has {LONGEST_TEXT} characters at most; shorten it").into(),
        }),
    }
}

/// Refuses lists and objects, which nobody wants to read in braces.
fn write_plain(output: &mut minijinja::Output, _: &mut minijinja::State, value: &Value) -> Result<(), JinjaError> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(()),
        ValueKind::String | ValueKind::Number | ValueKind::Bool => Ok(write!(output, "{value}")?),
        kind => Err(JinjaError::new(
            ErrorKind::InvalidOperation,
            format!("a {kind} cannot be written out; pick a field of it, loop over it, or use the filter list"),
        )),
    }
}

/// Meta refuses newlines, tabs and runs of spaces in parameters. Spaces that keep an amount together stay.
fn on_one_line(text: &str) -> String {
    let separates = |character: char| character == ' ' || character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    text.split(separates).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Takes so many characters and no more, so that an endless text ends early.
struct Bounded {
    bytes: Vec<u8>,
    room: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Every byte that does not continue a character begins one.
        let characters = bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        self.room = self.room.checked_sub(characters).ok_or(io::ErrorKind::WriteZero)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
