//! Rendering: a template, a tenant and variables become the text a customer reads. Pure; compiled templates may be cached.
//!
//! Templates are written in minijinja's syntax, as far as it is bounded: `{{ ... }}`, `if`, `for` and comments. A template sees
//! its variables by their own names, and
//! - `business.name`, `business.phone`, `business.emoji`: the tenant's branding,
//! - `contact.name`: the customer's name in the template's language, else the variable `customerName`, else nothing.
//!
//! These two names win over variables that are called the same. A variable that is `null` counts as missing.
//!
//! | filter | makes |
//! |---|---|
//! | `money` | an amount in the variable `currency`, else the tenant's; `money("USD")` |
//! | `number` | a number with the separators of the language; `number(2)` rounds to two decimals |
//! | `date` | a date in words; `date("medium")`, `date("short")` |
//! | `time` | the time of day |
//! | `list` | an enumeration; `list("or")` |
//! | `translate` | the word of the tenant's glossary, or the word itself |
//! | `default` `upper` `lower` `trim` `length` `first` `last` | as in Jinja |

mod context;
mod currency;
mod decimal;
mod diagnose;
mod engine;
mod error;
mod filters;
mod locale;
mod syntax;
mod values;

pub use context::{Business, Context, Tenant};
pub use engine::{Compiled, Engine, Meta, Rendering, Source};
pub use error::{Error, Part, Place};
pub use locale::{Digits, Locale, UnknownLocale};

/// Most characters of a text, and of any variable: what WhatsApp takes in a message.
pub const LONGEST_TEXT: usize = 4_096;
/// Most characters of a Meta parameter: what Meta takes in a whole template.
pub const LONGEST_PARAMETER: usize = 1_024;
