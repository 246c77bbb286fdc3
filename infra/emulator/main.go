// Command emulator runs the functions of template.yaml on this machine, as Lambda would, with nothing of Amazon's but
// DynamoDB Local: see package emulator below it.
package main

import "countersign/infra/emulator/emulator"

func main() { emulator.Command().Main() }
