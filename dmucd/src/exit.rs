//! What the shell is told, in the numbers of `sysexits.h`.

/// Data is not what it must be: a store has mistakes, two stores differ, a file is damaged.
pub const DATA: u8 = 65;
/// The store cannot be opened or read.
pub const UNAVAILABLE: u8 = 69;
/// What would be written is there already, or something else is in its place.
pub const OCCUPIED: u8 = 73;
/// A file cannot be read or written.
pub const FILE: u8 = 74;
/// Try again later.
pub const UNFINISHED: u8 = 75;
/// The configuration has mistakes.
pub const CONFIG: u8 = 78;

/// All of them, for people.
pub const HELP: &str = "Exit codes:
   0  stopped as told; done; for `check`: the configuration is good
   1  the operating system refused what every program needs
   2  wrong arguments
  65  `store`: mistakes were found, or a file is not what was exported
  69  the store cannot be opened or read
  73  `store`: something else is where something was to be written
  74  `store`: a file cannot be read or written
  75  told to stop, but the store or the server did not finish in time, or a second signal came;
      `store`: rooms are in use, try again later
  78  the configuration has mistakes";
