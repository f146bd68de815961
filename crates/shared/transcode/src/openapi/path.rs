//! Path templates as OpenAPI writes them, where a parameter is always one segment.

use prost_reflect::FieldDescriptor;

use crate::binding::Binding;
use crate::request::field_path;
use crate::template::Segment;

/// One wildcard of a template.
pub(super) struct Parameter<'b> {
    pub name: String,
    /// The field that the wildcard fills, alone or in part.
    pub field: Option<&'b FieldDescriptor>,
    /// The pattern of the variable when the wildcard is not the whole of it.
    pub pattern: Option<String>,
    /// Whether it takes all segments that are left.
    pub rest: bool,
}

/// The wildcards of a binding's template, from left to right.
pub(super) fn parameters(binding: &Binding) -> Vec<Parameter<'_>> {
    let segments = &binding.template.segments;
    let is_wildcard = |segment: &Segment| !matches!(segment, Segment::Literal(_));
    let mut parameters: Vec<Parameter<'_>> = Vec::new();
    for (at, segment) in segments.iter().enumerate().filter(|(_, segment)| is_wildcard(segment)) {
        let rest = *segment == Segment::Rest;
        let bound = binding.variables.iter().find(|bound| (bound.variable.start..bound.variable.end).contains(&at));
        let Some(bound) = bound else {
            parameters.push(Parameter { name: format!("segment_{at}"), field: None, pattern: None, rest });
            continue;
        };
        let span = bound.variable.start..bound.variable.end;
        let mut name = field_path(&bound.fields);
        if segments[span.clone()].iter().filter(|segment| is_wildcard(segment)).count() > 1 {
            let place = segments[bound.variable.start..=at].iter().filter(|segment| is_wildcard(segment)).count();
            name = format!("{name}_{place}");
        }
        let pattern = (span.len() > 1).then(|| {
            let pieces: Vec<&str> = segments[span].iter().map(spell).collect();
            pieces.join("/")
        });
        parameters.push(Parameter { name, field: bound.fields.last(), pattern, rest });
    }
    parameters
}

/// The path with its wildcards spelled by `name`, which gets their place among the wildcards.
pub(super) fn write(binding: &Binding, name: impl Fn(usize) -> String) -> String {
    let mut path = String::new();
    let mut place = 0;
    for segment in &binding.template.segments {
        path.push('/');
        match segment {
            Segment::Literal(literal) => path.push_str(literal),
            Segment::One | Segment::Rest => {
                path.push_str(&name(place));
                place += 1;
            }
        }
    }
    if let Some(verb) = &binding.template.verb {
        path.push(':');
        path.push_str(verb);
    }
    path
}

fn spell(segment: &Segment) -> &str {
    match segment {
        Segment::Literal(literal) => literal,
        Segment::One => "*",
        Segment::Rest => "**",
    }
}
