package bolt

var ErrClosed = errClosed // what a call after Close fails with
