use std::{borrow::Cow, fmt};

/// Why a template does not compile or a message cannot be rendered. What it says is meant for whoever sent the variables or wrote
/// the template; it names variables but never repeats their values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{place}{name} is missing; give it in variables")]
    VariableMissing { place: Place, name: String },
    #[error("{place}{name} {problem}")]
    VariableInvalid { place: Place, name: String, problem: Cow<'static, str> },
    #[error("{place}{problem}")]
    TemplateInvalid { place: Place, problem: Cow<'static, str> },
    #[error("{place}longer than {limit} characters; shorten the template or what fills it")]
    TextTooLong { place: Place, limit: usize },
}

/// Which part of a template is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Body,
    DocumentUrl,
    /// A parameter of the Meta template, counted from 0.
    Parameter(usize),
}

/// Where in a template the fault shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub part: Part,
    /// Counted from 1; 0 when the fault is of the whole part.
    pub line: usize,
}

impl Error {
    /// The machine code of the proto's `RenderFailure`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::VariableMissing { .. } => "variable_missing",
            Self::VariableInvalid { .. } => "variable_invalid",
            Self::TemplateInvalid { .. } => "template_invalid",
            Self::TextTooLong { .. } => "text_too_long",
        }
    }

    /// The field at fault of who asks for a message: `variables.<name>`, or `template`.
    pub fn field(&self) -> String {
        match self {
            Self::VariableMissing { name, .. } | Self::VariableInvalid { name, .. } => format!("variables.{name}"),
            Self::TemplateInvalid { .. } | Self::TextTooLong { .. } => "template".to_owned(),
        }
    }

    /// Where in the template it shows. `place().part.field()` is the field at fault of who writes the template.
    pub fn place(&self) -> Place {
        match self {
            Self::VariableMissing { place, .. }
            | Self::VariableInvalid { place, .. }
            | Self::TemplateInvalid { place, .. }
            | Self::TextTooLong { place, .. } => *place,
        }
    }
}

impl Part {
    /// The field of the proto's `Template` that holds it, as in JSON.
    pub fn field(self) -> String {
        match self {
            Self::Body => "body".to_owned(),
            Self::DocumentUrl => "documentUrl".to_owned(),
            Self::Parameter(index) => format!("meta.parameters[{index}]"),
        }
    }
}

/// A prefix such as `line 3: `, or nothing where there is nothing to point at.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Body if self.line == 0 => Ok(()),
            Part::Body => write!(f, "line {}: ", self.line),
            Part::DocumentUrl => f.write_str("document address: "),
            Part::Parameter(index) => write!(f, "Meta parameter {}: ", index + 1),
        }
    }
}
