//! The configuration file of the binary.
