//! Makes the core live inside a server.
