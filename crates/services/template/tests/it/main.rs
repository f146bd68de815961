mod filters;
mod limits;
mod starters;
mod strictness;
mod support;
