// Command local runs all of Countersign on this machine, without anything to install. See package server.
package main

import "countersign/infra/local/server"

func main() { server.Command().Main() }
