// Command sweep is the function that a schedule runs. It announces what has ended by itself, and rotates the key ring.
package main

import (
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/keyring"
)

func main() {
	cloud.Schedule("sweep", func(d *cloud.Deployment) cloud.Job {
		s, keys := d.Service(), keyring.Of(d)
		s.Keys = keys
		return d.Sweep(s, keys)
	})
}
