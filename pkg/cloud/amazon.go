package cloud

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// Amazon returns the settings of an SDK client for one of Amazon's services, whose requests may be repeated after a failure.
// The SDK finds the service by the region and by whether FIPS 140 cryptography is wanted, unless the environment variable that
// endpoint names has another URL.
//
// The SDK reads nothing else: it looks into files, the environment and the metadata service only through the sources in
// ConfigSources.
func (d *Deployment) Amazon(endpoint string) aws.Config {
	c := aws.Config{
		Region:        d.region,
		Credentials:   aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return d.signer, nil }),
		HTTPClient:    d.http,
		Retryer:       retryer,
		ConfigSources: []any{d.fips},
	}
	if local := d.endpoint(endpoint); local != "" {
		c.BaseEndpoint = &local
	}
	return c
}

// retryer returns what repeats a request after a lost connection, an error of the server, or a throttle.
func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = Attempts
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) { return pauseBefore(attempt), nil })
	})
}

// fips says whether services are called at their endpoints with FIPS 140 cryptography. It is one of the sources of an aws.Config.
type fips bool

// GetUseFIPSEndpoint implements the interface by which the SDK's clients read this setting from a source of an aws.Config.
func (f fips) GetUseFIPSEndpoint(context.Context) (state aws.FIPSEndpointState, found bool, err error) {
	if f {
		return aws.FIPSEndpointStateEnabled, true, nil
	}
	return aws.FIPSEndpointStateDisabled, true, nil
}

// Wait pauses before the next attempt. attempt is the number of the attempt that has just failed, and is 1 for the first. Wait
// fails if ctx ends during the pause.
func Wait(ctx context.Context, attempt int) error {
	timer := time.NewTimer(pauseBefore(attempt))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pauseBefore returns a random time, which grows with each attempt, so that requests that collided don't collide again.
func pauseBefore(attempt int) time.Duration {
	return rand.N(min(25*time.Millisecond<<min(attempt, 10), longestPause))
}
