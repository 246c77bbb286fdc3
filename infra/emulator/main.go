// Command emulator runs the functions of template.yaml on this machine as Lambda would. Of Amazon's services it uses only
// DynamoDB Local. See package emulator in the folder below.
package main

import "countersign/infra/emulator/emulator"

func main() { emulator.Command().Main() }
