package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const issuerTimeout = 10 * time.Second

// Finds the token endpoint on first use; golang.org/x/oauth2 keeps and renews the token.
type tokenManager struct {
	settings oauthSettings
	http     *http.Client

	mutex  sync.Mutex
	source oauth2.TokenSource
}

func newTokenManager(settings oauthSettings) *tokenManager {
	return &tokenManager{settings: settings, http: &http.Client{Timeout: issuerTimeout}}
}

func (m *tokenManager) token(ctx context.Context) (string, error) {
	source, err := m.ready(ctx)
	if err != nil {
		return "", fmt.Errorf("discovery of the issuer failed: %w", err)
	}
	token, err := source.Token()
	if err != nil {
		return "", fmt.Errorf("no token from the issuer: %w", withoutBody(err))
	}
	return token.AccessToken, nil
}

func (m *tokenManager) ready(ctx context.Context) (oauth2.TokenSource, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.source != nil {
		return m.source, nil
	}
	endpoint, err := m.discover(ctx)
	if err != nil {
		return nil, err
	}
	config := clientcredentials.Config{
		ClientID:     m.settings.clientID,
		ClientSecret: m.settings.clientSecret,
		TokenURL:     endpoint,
	}
	if m.settings.audience != "" {
		config.EndpointParams = url.Values{"audience": {m.settings.audience}}
	}
	// Outlives the call that asked first, so it has a context of its own.
	m.source = config.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, m.http))
	return m.source, nil
}

func (m *tokenManager) discover(ctx context.Context) (string, error) {
	address := strings.TrimSuffix(m.settings.issuer, "/") + "/.well-known/openid-configuration"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := m.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d from %s", response.StatusCode, address)
	}
	var document struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
	}
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil {
		return "", fmt.Errorf("the document at %s is not understood: %w", address, err)
	}
	if strings.TrimSuffix(document.Issuer, "/") != strings.TrimSuffix(m.settings.issuer, "/") {
		return "", fmt.Errorf("the document at %s is of another issuer: `%s`", address, document.Issuer)
	}
	if document.TokenEndpoint == "" {
		return "", fmt.Errorf("the document at %s names no token endpoint", address)
	}
	return document.TokenEndpoint, nil
}

// The library's error holds the whole answer of the issuer, which may echo what was sent.
func withoutBody(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		return err
	}
	if refused.ErrorCode != "" {
		return fmt.Errorf("status %d, error %q", refused.Response.StatusCode, refused.ErrorCode)
	}
	return fmt.Errorf("status %d", refused.Response.StatusCode)
}
