//! The variable by which a program that runs procedures starts itself: as the guard of a server, as the stand-in, or
//! as one of the stand-in's children, which know it, too.

pub(crate) use tracegate_standin::REEXEC;
