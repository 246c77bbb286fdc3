// Package walk holds the exhaustive check of package mfa: tests that go through every order in which a few calls can meet.
package walk
