// Command local runs the whole of Countersign on this machine, with nothing to install: see package server.
package main

import "countersign/infra/local/server"

func main() { server.Command().Main() }
