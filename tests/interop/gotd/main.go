// SPDX-License-Identifier: MIT

// Command server is a small Telegram server made of gotd's parts: its transports, key exchange,
// cipher, sessions and types (package tgtest). It shares no code with tgdata, so what tgdata reads
// from it is a witness that both sides speak MTProto and not merely each other's dialect.
//
//	server DIR
//
// listens on two ports of loopback (plain transports on one, obfuscated on the other), writes
// DIR/datacenter.json, DIR/datacenter-obfuscated.json and, per chat, DIR/truth-ID.ndjson: what its
// messages say, in tgdata's rows. It serves until its standard input ends.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/gotd/td/tgtest"
	"github.com/gotd/td/transport"
)

const (
	dcID  = 2
	phone = "9996621234"
	code  = "22222"
)

type endpoint struct {
	ID   int    `json:"id"`
	Host string `json:"host"`
	Port int    `json:"port"`
}

type account struct {
	Phone  string `json:"phone"`
	Code   string `json:"code"`
	UserID int64  `json:"user_id"`
}

type datacenter struct {
	DCs       []endpoint `json:"dcs"`
	PublicKey string     `json:"public_key"`
	MainDC    int        `json:"main_dc"`
	Test      bool       `json:"test"`
	Accounts  []account  `json:"accounts"`
}

func writeJSON(path string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func writeTruth(dir string, c *chat) error {
	file, err := os.Create(filepath.Join(dir, fmt.Sprintf("truth-%d.ndjson", markedID(c.id))))
	if err != nil {
		return err
	}
	defer file.Close()
	out := json.NewEncoder(file)
	out.SetEscapeHTML(false)
	for i := range c.messages {
		if err := out.Encode(c.rows[i]); err != nil {
			return err
		}
	}
	return file.Close()
}

func run(dir string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	public := pem.EncodeToMemory(&pem.Block{
		Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&key.PublicKey),
	})
	w := newWorld()
	for _, c := range w.chats {
		if err := writeTruth(dir, c); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	for _, obfuscated := range []bool{false, true} {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		port := l.Addr().(*net.TCPAddr).Port
		name := "datacenter.json"
		if obfuscated {
			l = transport.ObfuscatedListener(l)
			name = "datacenter-obfuscated.json"
		}
		h := &handler{world: w, port: port}
		srv := tgtest.NewServer(tgtest.NewPrivateKey(key), tgtest.UnpackInvoke(h),
			tgtest.ServerOptions{DC: dcID})
		go func() { ended <- srv.Serve(ctx, transport.Listen(l)) }()
		err = writeJSON(filepath.Join(dir, name), datacenter{
			DCs: []endpoint{{dcID, "127.0.0.1", port}}, PublicKey: string(public), MainDC: dcID,
			Accounts: []account{{phone, code, selfID}},
		})
		if err != nil {
			return err
		}
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	<-ended
	<-ended
	return nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: server DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}
