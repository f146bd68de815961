//! Finds the binding for a verb and path: a trie of segments, walked without allocating.

use std::collections::HashMap;

use http::Method;

use crate::RouteError;
use crate::percent;
use crate::template::{Segment, Template};

/// The bindings by path. Values are indices into the transcoder's list of bindings.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    one: Option<Box<Node>>,
    /// Templates that end in `**` here.
    rest: Vec<Leaf>,
    /// Templates that end here.
    end: Vec<Leaf>,
}

#[derive(Debug)]
struct Leaf {
    verb: Option<String>,
    method: Method,
    binding: usize,
}

/// A path that was found, and the part of it that the segments of the template matched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found<'p> {
    pub binding: usize,
    /// Without leading slash and without the template's verb.
    pub path: &'p str,
}

impl Routes {
    /// Answers with the binding that has the same verb and path already.
    pub fn insert(&mut self, method: &Method, template: &Template, binding: usize) -> Result<(), usize> {
        let mut node = &mut self.root;
        let mut rest = false;
        for segment in &template.segments {
            match segment {
                Segment::Literal(literal) => node = node.literals.entry(literal.clone()).or_default(),
                Segment::One => node = node.one.get_or_insert_default(),
                Segment::Rest => rest = true,
            }
        }
        let leaves = if rest { &mut node.rest } else { &mut node.end };
        let taken = leaves.iter().find(|leaf| leaf.method == *method && leaf.verb == template.verb);
        if let Some(leaf) = taken {
            return Err(leaf.binding);
        }
        leaves.push(Leaf { verb: template.verb.clone(), method: method.clone(), binding });
        Ok(())
    }

    /// Literals go before `*`, `*` before `**`, and a verb before a colon that belongs to a value.
    pub fn find<'p>(&self, method: &Method, path: &'p str) -> Result<Found<'p>, RouteError> {
        let path = path.strip_prefix('/').ok_or(RouteError::NotFound)?;
        let last = path.rfind('/').map_or(0, |at| at + 1);
        let colon = path[last..].rfind(':').map(|at| at + last);
        let mut allow = Vec::new();
        if let Some(colon) = colon {
            let stem = &path[..colon];
            let mut search = Search { method, verb: Some(&path[colon + 1..]), allow: &mut allow };
            if let Some(binding) = search.walk(&self.root, Some(stem)) {
                return Ok(Found { binding, path: stem });
            }
            if !allow.is_empty() {
                return Err(not_allowed(allow));
            }
        }
        let mut search = Search { method, verb: None, allow: &mut allow };
        if let Some(binding) = search.walk(&self.root, Some(path)) {
            return Ok(Found { binding, path });
        }
        // After a mistyped verb the path only looks like one whose last value has a colon in it.
        if allow.is_empty() || colon.is_some() {
            return Err(RouteError::NotFound);
        }
        Err(not_allowed(allow))
    }
}

fn not_allowed(mut allow: Vec<Method>) -> RouteError {
    allow.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    allow.dedup();
    RouteError::MethodNotAllowed { allow }
}

struct Search<'s> {
    method: &'s Method,
    verb: Option<&'s str>,
    /// Methods of templates that match but for the method.
    allow: &'s mut Vec<Method>,
}

impl Search<'_> {
    fn walk(&mut self, node: &Node, path: Option<&str>) -> Option<usize> {
        let Some(path) = path else {
            return self.choose(&node.end).or_else(|| self.choose(&node.rest));
        };
        let (segment, tail) = match path.split_once('/') {
            Some((segment, tail)) => (segment, Some(tail)),
            None => (path, None),
        };
        // A literal written with needless escapes is still that literal. One that cannot be decoded is none.
        let literal = percent::decode(segment).ok();
        if let Some(child) = literal.and_then(|literal| node.literals.get(&*literal))
            && let Some(binding) = self.walk(child, tail)
        {
            return Some(binding);
        }
        if !segment.is_empty()
            && let Some(child) = &node.one
            && let Some(binding) = self.walk(child, tail)
        {
            return Some(binding);
        }
        self.choose(&node.rest)
    }

    fn choose(&mut self, leaves: &[Leaf]) -> Option<usize> {
        for leaf in leaves.iter().filter(|leaf| leaf.verb.as_deref() == self.verb) {
            if leaf.method == *self.method {
                return Some(leaf.binding);
            }
            self.allow.push(leaf.method.clone());
        }
        None
    }
}
