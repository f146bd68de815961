mod calls;
mod deadlines;
mod discovery;
mod house;
mod limits;
mod permissions;
mod relay;
mod trace;
