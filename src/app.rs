//! One function per command: wires the floors together.
