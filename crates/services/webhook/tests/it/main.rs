mod attacks;
mod delivering;
mod endpoints;
mod house;
mod log;
mod receiver;
mod retrying;
