mod counting;
mod figures;
mod house;
mod input;
