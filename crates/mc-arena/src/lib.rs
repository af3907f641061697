//! Hugepage-backed memory pool handed out by a lock-free bump pointer.
