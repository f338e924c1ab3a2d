package main

import (
	"context"
	"crypto/tls"
	"net/url"
	"strconv"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// A connection and what each call on it carries.
type connection struct {
	settings settings
	sql      *flightsql.Client
	tokens   *tokenManager

	mutex sync.Mutex
	// The authorization value that the Handshake gave.
	login string
}

func connect(s settings) (*connection, error) {
	transport := insecure.NewCredentials()
	if s.secure {
		transport = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	sql, err := flightsql.NewClient(s.host, nil, nil, grpc.WithTransportCredentials(transport))
	if err != nil {
		return nil, err
	}
	c := &connection{settings: s, sql: sql}
	if s.auth == authOAuth {
		c.tokens = newTokenManager(s.oauth)
	}
	return c, nil
}

// The context of one operation: configured headers, the credential, and for whom it is.
func (c *connection) outgoing(ctx context.Context, caller backend.PluginContext) (context.Context, error) {
	headers := metadata.New(c.settings.metadata)
	authorization, err := c.authorization(ctx)
	if err != nil {
		return nil, err
	}
	if authorization != "" {
		headers.Set("authorization", authorization)
	}
	if c.settings.attribution {
		attribute(headers, caller)
	}
	return metadata.NewOutgoingContext(ctx, headers), nil
}

func (c *connection) authorization(ctx context.Context) (string, error) {
	switch c.settings.auth {
	case authToken:
		return "Bearer " + c.settings.token, nil
	case authOAuth:
		token, err := c.tokens.token(ctx)
		return "Bearer " + token, err
	case authBasic:
		return c.loggedIn(ctx)
	}
	return "", nil
}

func (c *connection) loggedIn(ctx context.Context) (string, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.login != "" {
		return c.login, nil
	}
	logged, err := c.sql.Client.AuthenticateBasicToken(ctx, c.settings.username, c.settings.password)
	if err != nil {
		return "", err
	}
	headers, _ := metadata.FromOutgoingContext(logged)
	if values := headers.Get("authorization"); len(values) > 0 {
		c.login = values[len(values)-1]
	}
	return c.login, nil
}

// Header values are ASCII: a name is percent-encoded. A call that nobody made names nobody.
func attribute(headers metadata.MD, caller backend.PluginContext) {
	headers.Set("x-client-type", "grafana")
	user := caller.User
	if user == nil {
		return
	}
	for name, value := range map[string]string{
		"x-user-id": user.Login, "x-user-email": user.Email, "x-user-name": user.Name,
		"x-org-id": strconv.FormatInt(caller.OrgID, 10),
	} {
		if value != "" {
			headers.Set(name, url.PathEscape(value))
		}
	}
}

func (c *connection) close() {
	_ = c.sql.Close()
}
