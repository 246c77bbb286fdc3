package bolt

var ErrClosed = errClosed // the error of a call after Close
