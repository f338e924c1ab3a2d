//! Certifies how a Flight SQL client authenticates
