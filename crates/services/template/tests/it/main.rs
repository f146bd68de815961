mod filters;
mod house;
mod limits;
mod service;
mod starters;
mod strictness;
mod support;
