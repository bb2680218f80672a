// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
	"github.com/gotd/td/tgtest"
)

// handler answers what a client asks that logs in and reads history. Everything below it, down to
// the socket, is gotd's.
type handler struct {
	world    *world
	port     int
	loggedIn atomic.Bool
}

const msgsAck = 0x62d6b459

// OnMessage implements tgtest.Handler.
func (h *handler) OnMessage(srv *tgtest.Server, req *tgtest.Request) error {
	id, err := req.Buf.PeekID()
	if err != nil {
		return err
	}
	if id == msgsAck {
		return nil // tgtest passes acknowledgements on as if they were calls
	}
	method, ok := h.methods()[id]
	if !ok {
		fmt.Fprintf(os.Stderr, "server: method %#x is not served\n", id)
		return tgerr.New(400, "INPUT_METHOD_INVALID")
	}
	result, err := method(req.Buf)
	if err != nil {
		return err
	}
	if m, big := result.(*tg.MessagesChannelMessages); big && len(m.Messages) > 3 {
		return srv.SendGZIP(req, result)
	}
	return srv.SendResult(req, result)
}

type method func(b *bin.Buffer) (bin.Encoder, error)

func (h *handler) methods() map[uint32]method {
	return map[uint32]method{
		tg.HelpGetConfigRequestTypeID:           h.getConfig,
		tg.AuthSendCodeRequestTypeID:            h.sendCode,
		tg.AuthSignInRequestTypeID:              h.signIn,
		tg.AuthLogOutRequestTypeID:              h.logOut,
		tg.UsersGetUsersRequestTypeID:           h.getUsers,
		tg.UpdatesGetStateRequestTypeID:         h.getState,
		tg.MessagesGetDialogsRequestTypeID:      h.getDialogs,
		tg.ContactsResolveUsernameRequestTypeID: h.resolveUsername,
		tg.ChannelsGetChannelsRequestTypeID:     h.getChannels,
		tg.ChannelsGetFullChannelRequestTypeID:  h.getFullChannel,
		tg.MessagesGetHistoryRequestTypeID:      h.getHistory,
	}
}

func (h *handler) needLogin() error {
	if !h.loggedIn.Load() {
		return tgerr.New(401, "AUTH_KEY_UNREGISTERED")
	}
	return nil
}

func (h *handler) getConfig(*bin.Buffer) (bin.Encoder, error) {
	now := int(time.Now().Unix())
	return &tg.Config{
		Date: now, Expires: now + 3600, ThisDC: dcID,
		DCOptions:   []tg.DCOption{{ID: dcID, IPAddress: "127.0.0.1", Port: h.port}},
		ChatSizeMax: 200, MegagroupSizeMax: 200000, WebfileDCID: dcID, CaptionLengthMax: 1024,
		MessageLengthMax: 4096, MeURLPrefix: "https://t.me/", DCTxtDomainName: "example.org",
	}, nil
}

func (h *handler) sendCode(b *bin.Buffer) (bin.Encoder, error) {
	var req tg.AuthSendCodeRequest
	if err := req.Decode(b); err != nil {
		return nil, err
	}
	if strings.TrimPrefix(req.PhoneNumber, "+") != phone {
		return nil, tgerr.New(400, "PHONE_NUMBER_INVALID")
	}
	return &tg.AuthSentCode{Type: &tg.AuthSentCodeTypeApp{Length: len(code)}, PhoneCodeHash: "hash"}, nil
}

func (h *handler) signIn(b *bin.Buffer) (bin.Encoder, error) {
	var req tg.AuthSignInRequest
	if err := req.Decode(b); err != nil {
		return nil, err
	}
	if req.PhoneCode != code || req.PhoneCodeHash != "hash" {
		return nil, tgerr.New(400, "PHONE_CODE_INVALID")
	}
	h.loggedIn.Store(true)
	return &tg.AuthAuthorization{User: self()}, nil
}

func (h *handler) logOut(*bin.Buffer) (bin.Encoder, error) {
	h.loggedIn.Store(false)
	return &tg.AuthLoggedOut{}, nil
}

func (h *handler) getUsers(*bin.Buffer) (bin.Encoder, error) {
	return &tg.UserClassVector{Elems: []tg.UserClass{self()}}, h.needLogin()
}

func (h *handler) getState(*bin.Buffer) (bin.Encoder, error) {
	return &tg.UpdatesState{Pts: 1, Date: int(time.Now().Unix()), Seq: 1}, h.needLogin()
}

func (h *handler) channels() (out []tg.ChatClass) {
	for _, c := range h.world.chats {
		out = append(out, c.channel())
	}
	return out
}

func (h *handler) getDialogs(b *bin.Buffer) (bin.Encoder, error) {
	if err := h.needLogin(); err != nil {
		return nil, err
	}
	out := &tg.MessagesDialogs{Chats: h.channels(), Users: h.world.people}
	for _, c := range h.world.chats {
		last := len(c.ids) - 1
		out.Dialogs = append(out.Dialogs, &tg.Dialog{Peer: c.peer(), TopMessage: c.ids[last], Pts: 1})
		out.Messages = append(out.Messages, c.messages[last])
	}
	return out, nil
}

func (h *handler) resolveUsername(b *bin.Buffer) (bin.Encoder, error) {
	var req tg.ContactsResolveUsernameRequest
	if err := req.Decode(b); err != nil {
		return nil, err
	}
	if err := h.needLogin(); err != nil {
		return nil, err
	}
	for _, c := range h.world.chats {
		if strings.EqualFold(c.username, req.Username) {
			return &tg.ContactsResolvedPeer{Peer: c.peer(), Chats: []tg.ChatClass{c.channel()}}, nil
		}
	}
	return nil, tgerr.New(400, "USERNAME_NOT_OCCUPIED")
}

func (h *handler) chat(id, hash int64) (*chat, error) {
	for _, c := range h.world.chats {
		if c.id == id && hash == accessHash {
			return c, h.needLogin()
		}
	}
	return nil, tgerr.New(400, "CHANNEL_INVALID")
}

func (h *handler) getChannels(b *bin.Buffer) (bin.Encoder, error) {
	var req tg.ChannelsGetChannelsRequest
	if err := req.Decode(b); err != nil {
		return nil, err
	}
	out := &tg.MessagesChats{}
	for _, one := range req.ID {
		in, ok := one.(*tg.InputChannel)
		if !ok {
			return nil, tgerr.New(400, "CHANNEL_INVALID")
		}
		c, err := h.chat(in.ChannelID, in.AccessHash)
		if err != nil {
			return nil, err
		}
		out.Chats = append(out.Chats, c.channel())
	}
	return out, nil
}

func (h *handler) getFullChannel(b *bin.Buffer) (bin.Encoder, error) {
	var req tg.ChannelsGetFullChannelRequest
	if err := req.Decode(b); err != nil {
		return nil, err
	}
	in, ok := req.Channel.(*tg.InputChannel)
	if !ok {
		return nil, tgerr.New(400, "CHANNEL_INVALID")
	}
	c, err := h.chat(in.ChannelID, in.AccessHash)
	if err != nil {
		return nil, err
	}
	return &tg.MessagesChatFull{
		FullChat: &tg.ChannelFull{
			ID: c.id, About: "served by gotd", ParticipantsCount: nPeople + 1,
			ChatPhoto: &tg.PhotoEmpty{}, Pts: 1, ReadInboxMaxID: c.ids[len(c.ids)-1],
		},
		Chats: []tg.ChatClass{c.channel()},
	}, nil
}

func (h *handler) getHistory(b *bin.Buffer) (bin.Encoder, error) {
	var req tg.MessagesGetHistoryRequest
	if err := req.Decode(b); err != nil {
		return nil, err
	}
	in, ok := req.Peer.(*tg.InputPeerChannel)
	if !ok {
		return nil, tgerr.New(400, "PEER_ID_INVALID")
	}
	c, err := h.chat(in.ChannelID, in.AccessHash)
	if err != nil {
		return nil, err
	}
	messages, offset := c.page(&req)
	return &tg.MessagesChannelMessages{
		Pts: 1, Count: len(c.ids), OffsetIDOffset: offset, Messages: messages,
		Chats: h.channels(), Users: h.world.people,
	}, nil
}

// page is core.telegram.org/api/offsets: positions count from the newest; the offset comes first, then
// the slice, then the bounds. Of a slice that begins before the newest message only the part that
// exists is sent: what servers do there is not documented, and clients must live with either.
func (c *chat) page(req *tg.MessagesGetHistoryRequest) ([]tg.MessageClass, int) {
	n := len(c.ids)
	from := 0
	switch {
	case req.OffsetID > 0:
		from = n - sort.SearchInts(c.ids, req.OffsetID)
	case req.OffsetDate > 0:
		from = n - sort.SearchInts(c.dates, req.OffsetDate)
	}
	limit := req.Limit
	if limit > 100 {
		limit = 100
	}
	start := from + req.AddOffset
	end := start + limit
	if start < 0 {
		start = 0
	}
	if end > n {
		end = n
	}
	var out []tg.MessageClass
	for i := start; i < end; i++ {
		id := c.ids[n-1-i]
		if (req.MaxID == 0 || id < req.MaxID) && id > req.MinID {
			out = append(out, c.messages[n-1-i])
		}
	}
	return out, start
}
