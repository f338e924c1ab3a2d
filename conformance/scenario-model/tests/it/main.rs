//! The catalogue that ships, and mistakes in scenario files.

mod catalogue;
mod mistakes;
