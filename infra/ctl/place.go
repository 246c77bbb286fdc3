package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
)

// A place is what a verb works on: a deployment, by its table, or the data folder of a local server.
type place struct {
	Table    string `placeholder:"NAME" help:"Use the deployment that has this table. The name is the output TableName of its stack."`
	Region   string `placeholder:"REGION" help:"The region of the deployment. By default it is taken from AWS_REGION or AWS_DEFAULT_REGION."`
	Endpoint string `placeholder:"URL" help:"Use a DynamoDB Local on this machine, such as http://127.0.0.1:8000, instead of Amazon's DynamoDB."`
	Local    string `placeholder:"DIR" help:"Use the data folder of a local server that isn't running, instead of a deployment."`
}

var (
	tableName  = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)
	regionName = regexp.MustCompile(`^[a-z]{2,4}(-[a-z0-9]{1,12}){1,4}$`) // it becomes part of the name of a host
)

// check returns an error if flags can't be given together, or if one has a value that it can't have.
func (p place) check() error {
	switch {
	case (p.Local == "") == (p.Table == ""):
		return errors.New("name a deployment with --table and --region, or a local server's data folder with --local")
	case p.Local != "" && (p.Region != "" || p.Endpoint != ""):
		return errors.New("--region and --endpoint can't be given together with --local")
	case p.Local != "":
		return nil
	case !tableName.MatchString(p.Table):
		return errors.New("--table must be the name of a table, not its ARN: 3 to 255 letters, digits, _, . and -")
	case p.Region != "" && !regionName.MatchString(p.Region):
		return errors.New("--region must be a region such as eu-central-1")
	case p.Endpoint != "" && !loopbackURL(p.Endpoint):
		return errors.New("--endpoint must be an http or https URL of this machine, by its loopback address")
	}
	return nil
}

// A backend keeps the items of a place.
type backend interface {
	store.Store
	store.Holder
}

// A site is a place that has been opened.
type site struct {
	store backend
	keys  *apikey.Registry
	close func() error
}

// open prepares the work on a place. It makes no call to Amazon yet.
func (p place) open(o *program) (*site, error) {
	if p.Local != "" {
		f, err := openFolder(p.Local, o.now)
		if err != nil {
			return nil, err
		}
		db, err := openDatabase(f)
		if err != nil {
			return nil, err
		}
		return &site{db, &apikey.Registry{Store: db, Now: f.Now}, db.Close}, nil
	}
	client, err := p.client(o)
	if err != nil {
		return nil, err
	}
	table := p.store(client, o)
	return &site{table, &apikey.Registry{Store: table, Now: o.now}, func() error { return nil }}, nil
}

func (p place) store(client *dynamodb.Client, o *program) *dynamo.Table {
	return dynamo.New(dynamo.Options{Client: client, Table: p.Table, Now: o.now})
}

// client returns a client for the DynamoDB in which the table is.
func (p place) client(o *program) (*dynamodb.Client, error) {
	if p.Endpoint != "" {
		// A DynamoDB Local can have separate tables for each pair of credentials and region. So it gets the same pair here as in
		// the rest of this project.
		return dynamo.LocalClient(p.Endpoint, func(d *dynamodb.Options) {
			if p.Region != "" {
				d.Region = p.Region
			}
		}), nil
	}
	account, err := p.account(o)
	if err != nil {
		return nil, err
	}
	return dynamodb.NewFromConfig(account.config(o)), nil
}

// use opens the place, calls do, and closes the place.
func (p place) use(o *program, do func(*site) error) error {
	s, err := p.open(o)
	if err != nil {
		return err
	}
	if err := do(s); err != nil {
		return errors.Join(err, s.close())
	}
	if err := s.close(); err != nil {
		return fmt.Errorf("it was done, but closing failed: %w", err)
	}
	return nil
}

// loopbackURL reports whether v is the base URL of a server on this machine. It accepts only a loopback address and no host name,
// because a name can be made to mean another machine.
func loopbackURL(v string) bool {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Path != "" && u.Path != "/" {
		return false
	}
	address, err := netip.ParseAddr(u.Hostname())
	return err == nil && address.IsLoopback()
}
