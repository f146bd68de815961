//! The transcoder against protos of its own and against those of the repository.

mod build;
mod openapi;
mod path;
mod query;
mod repository;
mod request;
mod response;
mod round_trip;
mod routes;
mod status;
mod support;
