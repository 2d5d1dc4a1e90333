//! What people in a room experience, told as the symptom that each test prevents.

mod allowing;
mod backing_up;
mod crowd;
mod data;
mod harness;
mod joining;
mod layers;
mod moderating;
mod properties;
mod publishing;
mod resuming;
mod seeing;
mod sites;
mod speaking;
mod subscribing;
mod updating;
