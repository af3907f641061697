//! Offset allocator that places objects in an address range it never touches.
