package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
)

type authType int

const (
	authNone authType = iota
	authBasic
	authToken
	authOAuth
)

// What a saved data source holds, checked.
type settings struct {
	host        string
	secure      bool
	auth        authType
	username    string
	password    string
	token       string
	oauth       oauthSettings
	metadata    map[string]string
	attribution bool
}

type oauthSettings struct {
	issuer       string
	clientID     string
	clientSecret string
	audience     string
}

// jsonData as saved; every field may be missing, empty or of an older editor.
type saved struct {
	Host        text                `json:"host"`
	Secure      bool                `json:"secure"`
	AuthType    text                `json:"selectedAuthType"`
	Username    text                `json:"username"`
	Metadata    []map[string]string `json:"metadata"`
	Issuer      text                `json:"oauthIssuer"`
	ClientID    text                `json:"oauthClientId"`
	Audience    text                `json:"oauthAudience"`
	Attribution *bool               `json:"enableUserAttribution"`
}

// An older editor saved `false` for a text that was not set.
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	if string(raw) == "false" || string(raw) == "null" {
		*t = ""
		return nil
	}
	var value string
	if err := json.Unmarshal(raw, &value); err != nil {
		return err
	}
	*t = text(value)
	return nil
}

func readSettings(from backend.DataSourceInstanceSettings) (settings, error) {
	var raw saved
	if len(bytes.TrimSpace(from.JSONData)) > 0 {
		if err := json.Unmarshal(from.JSONData, &raw); err != nil {
			return settings{}, fmt.Errorf("the saved settings are not understood: %w", err)
		}
	}
	secrets := from.DecryptedSecureJSONData
	read := settings{
		host:     string(raw.Host),
		secure:   raw.Secure,
		username: string(raw.Username),
		password: secrets["password"],
		token:    secrets["token"],
		oauth: oauthSettings{
			issuer:       string(raw.Issuer),
			clientID:     string(raw.ClientID),
			clientSecret: secrets["oauthClientSecret"],
			audience:     string(raw.Audience),
		},
		attribution: raw.Attribution == nil || *raw.Attribution,
	}
	if _, _, err := net.SplitHostPort(read.host); err != nil {
		return settings{}, fmt.Errorf("`host` must be host:port: %w", err)
	}
	var err error
	if read.metadata, err = headers(raw.Metadata); err != nil {
		return settings{}, err
	}
	if read.auth, err = chosen(string(raw.AuthType), read); err != nil {
		return settings{}, err
	}
	return read, read.complete()
}

// The editor saves a list of pairs; a row that was never filled has an empty name.
func headers(rows []map[string]string) (map[string]string, error) {
	found := map[string]string{}
	for _, row := range rows {
		for name, value := range row {
			if name == "" || name == "undefined" {
				continue
			}
			if _, twice := found[strings.ToLower(name)]; twice {
				return nil, fmt.Errorf("`metadata` names `%s` twice", name)
			}
			found[strings.ToLower(name)] = value
		}
	}
	return found, nil
}

// Older editors saved the label of the choice, newer ones its value; before that there was no choice.
func chosen(name string, read settings) (authType, error) {
	switch name {
	case "none":
		return authNone, nil
	case "username/password":
		return authBasic, nil
	case "token":
		return authToken, nil
	case "oauth2", "oauth2-client-credentials":
		return authOAuth, nil
	case "":
		if read.token != "" {
			return authToken, nil
		}
		if read.username != "" || read.password != "" {
			return authBasic, nil
		}
		return authNone, nil
	}
	return authNone, fmt.Errorf("`selectedAuthType` is `%s`, which this version does not know", name)
}

// A method that is chosen and half filled is an error, never a call without credentials.
func (s settings) complete() error {
	var missing []string
	need := func(name, value string) {
		if strings.TrimSpace(value) == "" {
			missing = append(missing, "`"+name+"`")
		}
	}
	switch s.auth {
	case authNone:
	case authBasic:
		need("username", s.username)
		need("password", s.password)
	case authToken:
		need("token", s.token)
	case authOAuth:
		need("oauthIssuer", s.oauth.issuer)
		need("oauthClientId", s.oauth.clientID)
		need("oauthClientSecret", s.oauth.clientSecret)
	}
	if len(missing) > 0 {
		return fmt.Errorf("the authentication is incomplete: missing %s", strings.Join(missing, ", "))
	}
	return nil
}
