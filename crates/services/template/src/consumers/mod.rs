//! News of changes, on which what is remembered is forgotten. They may be lost: nothing is remembered for long.

pub(crate) mod template_changed;
pub(crate) mod tenant_changed;
