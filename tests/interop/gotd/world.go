// SPDX-License-Identifier: MIT

package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/gotd/td/tg"
)

const (
	selfID      = 5000
	firstPerson = 5001
	nPeople     = 7
	newsID      = 1500000001
	talkID      = 1500000002
	accessHash  = 0x1122334455667788
	nMessages   = 1003
	firstDate   = 1577836800
)

// row is one message in the vocabulary of include/tgdata/row.h, written beside the message itself.
type row map[string]any

type chat struct {
	id        int64
	title     string
	username  string
	broadcast bool
	messages  []tg.MessageClass // ascending ids
	ids       []int
	dates     []int
	rows      []row
}

type world struct {
	people []tg.UserClass
	chats  []*chat
}

func markedID(channel int64) int64 { return -1000000000000 - channel }

func iso(date int) string { return time.Unix(int64(date), 0).UTC().Format("2006-01-02T15:04:05Z") }

func (c *chat) peer() tg.PeerClass { return &tg.PeerChannel{ChannelID: c.id} }

func (c *chat) channel() *tg.Channel {
	return &tg.Channel{
		ID: c.id, AccessHash: accessHash, Title: c.title, Username: c.username,
		Broadcast: c.broadcast, Megagroup: !c.broadcast, Photo: &tg.ChatPhotoEmpty{},
		Date: firstDate,
	}
}

func person(i int) *tg.User {
	u := &tg.User{ID: firstPerson + int64(i), AccessHash: accessHash, FirstName: fmt.Sprintf("Anna %d", i)}
	if i%2 == 0 {
		u.LastName = "Żółć"
	}
	if i%3 == 0 {
		u.Username = fmt.Sprintf("anna_%d", i)
	}
	return u
}

func self() *tg.User {
	return &tg.User{ID: selfID, AccessHash: accessHash, Self: true, FirstName: "Otto", Phone: phone}
}

func newWorld() *world {
	w := &world{people: []tg.UserClass{self()}}
	for i := 0; i < nPeople; i++ {
		w.people = append(w.people, person(i))
	}
	for _, c := range []*chat{
		{id: newsID, title: "News of gotd", username: "gotd_news", broadcast: true},
		{id: talkID, title: "Talk — разговор 💬", username: "gotd_talk"},
	} {
		w.chats = append(w.chats, c)
		for id, n := 1, 0; n < nMessages; id++ {
			if id%11 == 5 || id > 300 && id <= 420 {
				continue // deleted
			}
			c.add(id)
			n++
		}
	}
	return w
}

// add makes the message with that id. Which features it has follows from the id alone.
func (c *chat) add(id int) {
	date := firstDate + id*97
	r := row{"chat_id": markedID(c.id), "id": id, "owner": 0, "date": iso(date)}
	var from tg.PeerClass
	if c.broadcast {
		r["post"] = true
	} else {
		from = c.sender(id, r)
	}
	var m tg.MessageClass
	if id == 1 || id%53 == 0 {
		m = c.service(id, date, from, r)
	} else {
		m = c.message(id, date, from, r)
	}
	c.messages = append(c.messages, m)
	c.ids = append(c.ids, id)
	c.dates = append(c.dates, date)
	c.rows = append(c.rows, r)
}

// sender is a person, the account itself, a channel, or the group: an anonymous administrator.
func (c *chat) sender(id int, r row) tg.PeerClass {
	switch {
	case id%17 == 0:
		r["sender_id"], r["sender_name"] = markedID(talkID), "Talk — разговор 💬"
		r["sender_username"] = "gotd_talk"
		return nil
	case id%19 == 0:
		r["sender_id"], r["sender_name"] = markedID(newsID), "News of gotd"
		r["sender_username"] = "gotd_news"
		return &tg.PeerChannel{ChannelID: newsID}
	case id%23 == 0:
		r["sender_id"], r["sender_name"], r["outgoing"] = selfID, "Otto", true
		return &tg.PeerUser{UserID: selfID}
	case id%29 == 0:
		r["sender_id"] = 999999 // nobody whom a reply describes
		return &tg.PeerUser{UserID: 999999}
	}
	u := person(id % nPeople)
	r["sender_id"], r["sender_name"] = u.ID, strings.TrimSpace(u.FirstName+" "+u.LastName)
	if u.Username != "" {
		r["sender_username"] = u.Username
	}
	return &tg.PeerUser{UserID: u.ID}
}

func (c *chat) service(id, date int, from tg.PeerClass, r row) tg.MessageClass {
	m := &tg.MessageService{ID: id, PeerID: c.peer(), FromID: from, Date: date, Post: c.broadcast}
	m.Out = r["outgoing"] == true
	r["kind"] = "service"
	switch {
	case id == 1:
		m.Action = &tg.MessageActionChannelCreate{Title: c.title}
		r["action"], r["action_data"] = "channel_create", row{"title": c.title}
	case id%4 == 0:
		m.Action = &tg.MessageActionChatEditTitle{Title: "Ärger \"x\"\n"}
		r["action"], r["action_data"] = "chat_edit_title", row{"title": "Ärger \"x\"\n"}
	case id%4 == 1:
		m.Action = &tg.MessageActionPinMessage{}
		m.ReplyTo = &tg.MessageReplyHeader{ReplyToMsgID: id - 2}
		r["action"], r["reply_to_id"], r["thread_id"] = "pin_message", id-2, id-2
	case id%4 == 2:
		m.Action = &tg.MessageActionChatAddUser{Users: []int64{5001, 5002}}
		r["action"], r["action_data"] = "chat_add_user", row{"users": []int64{5001, 5002}}
	default:
		m.Action = &tg.MessageActionSetMessagesTTL{Period: 86400}
		r["action"], r["action_data"] = "set_messages_ttl", row{"period": 86400}
	}
	return m
}

var words = strings.Fields("Haus море 城市 😀👍 the quick señor שלום café ночь 電車 and 42% \"so\" Ω")

func text(id int) string {
	var out []string
	for i := 0; i < 3+id%40; i++ {
		out = append(out, words[(id*7+i*i)%len(words)])
	}
	return strings.Join(out, " ")
}

func (c *chat) message(id, date int, from tg.PeerClass, r row) tg.MessageClass {
	m := &tg.Message{
		ID: id, PeerID: c.peer(), FromID: from, Date: date, Message: text(id), Post: c.broadcast,
	}
	r["kind"], r["text"] = "message", m.Message
	m.Out = r["outgoing"] == true
	if c.broadcast {
		m.Views, m.Forwards = id*3, id%5+1
		r["views"], r["forwards"] = m.Views, m.Forwards
		if id%3 == 0 {
			m.PostAuthor = "Redaktion"
			r["post_author"] = m.PostAuthor
		}
	}
	if id%4 == 0 {
		m.EditDate = date + 60
		r["edit_date"] = iso(m.EditDate)
	}
	if id%13 == 0 {
		m.Silent, m.Pinned, m.TTLPeriod = true, true, 3600
		r["silent"], r["pinned"], r["ttl_s"] = true, true, 3600
	}
	if id%31 == 0 {
		m.Noforwards, m.ViaBotID = true, 5006
		r["protected"], r["via_bot_id"] = true, 5006
	}
	if id%37 < 2 {
		m.GroupedID = int64(1)<<62 + int64(id/37)
		r["album_id"] = m.GroupedID
	}
	if id%10 < 4 {
		m.Entities, r["entities"] = entities(id)
	}
	c.headers(m, id, r)
	media(m, id, r)
	return m
}

func (c *chat) headers(m *tg.Message, id int, r row) {
	if id%5 == 0 {
		h := &tg.MessageReplyHeader{ReplyToMsgID: id - 3}
		r["reply_to_id"], r["thread_id"] = h.ReplyToMsgID, h.ReplyToMsgID
		switch id % 3 {
		case 1:
			h.ReplyToTopID = 2
			r["thread_id"] = 2
		case 2:
			h.ReplyToPeerID = &tg.PeerChannel{ChannelID: newsID}
			h.QuoteText = "quoted"
			r["reply_to_chat_id"] = markedID(newsID)
			delete(r, "thread_id")
		}
		m.ReplyTo = h
	}
	if id%8 == 0 {
		h := tg.MessageFwdHeader{Date: m.Date - 1000}
		r["forward_date"] = iso(h.Date)
		switch id % 3 {
		case 0:
			h.FromID = &tg.PeerUser{UserID: 5003}
			r["forward_from_id"] = 5003
		case 1:
			h.FromName = "Hidden Œ"
			r["forward_from_name"] = h.FromName
		default:
			h.FromID, h.ChannelPost = &tg.PeerChannel{ChannelID: newsID}, 77
			r["forward_from_id"], r["forward_message_id"] = markedID(newsID), 77
		}
		m.FwdFrom = h
		m.Flags.Set(2)
	}
	if id%6 == 0 {
		m.Replies = tg.MessageReplies{Replies: id % 50, RepliesPts: 9}
		r["replies"] = id % 50
	}
	if id%7 == 0 {
		m.Reactions = tg.MessageReactions{Results: []tg.ReactionCount{
			{Reaction: &tg.ReactionEmoji{Emoticon: "❤"}, Count: id},
			{Reaction: &tg.ReactionCustomEmoji{DocumentID: 1 << 60}, Count: 2},
		}}
		r["reactions"] = []row{{"reaction": "❤", "count": id}, {"reaction": "1152921504606846976", "count": 2}}
	}
}

func entities(id int) ([]tg.MessageEntityClass, []row) {
	switch id % 6 {
	case 0:
		return []tg.MessageEntityClass{&tg.MessageEntityBold{Offset: 0, Length: 4}, &tg.MessageEntityItalic{Offset: 2, Length: 3}},
			[]row{{"type": "bold", "offset": 0, "length": 4}, {"type": "italic", "offset": 2, "length": 3}}
	case 1:
		return []tg.MessageEntityClass{&tg.MessageEntityTextURL{Offset: 1, Length: 5, URL: "https://example.org/?a=1&b=2"}},
			[]row{{"type": "text_url", "offset": 1, "length": 5, "url": "https://example.org/?a=1&b=2"}}
	case 2:
		return []tg.MessageEntityClass{&tg.MessageEntityPre{Offset: 0, Length: 9, Language: "c"}, &tg.MessageEntitySpoiler{Offset: 9, Length: 1}},
			[]row{{"type": "pre", "offset": 0, "length": 9, "language": "c"}, {"type": "spoiler", "offset": 9, "length": 1}}
	case 3:
		return []tg.MessageEntityClass{&tg.MessageEntityMentionName{Offset: 0, Length: 2, UserID: 5002}},
			[]row{{"type": "mention_name", "offset": 0, "length": 2, "user_id": 5002}}
	case 4:
		return []tg.MessageEntityClass{&tg.MessageEntityCustomEmoji{Offset: 3, Length: 2, DocumentID: 1 << 61}, &tg.MessageEntityBlockquote{Offset: 0, Length: 6}},
			[]row{{"type": "custom_emoji", "offset": 3, "length": 2, "document_id": int64(1) << 61}, {"type": "blockquote", "offset": 0, "length": 6}}
	default:
		return []tg.MessageEntityClass{&tg.MessageEntityMention{Offset: 0, Length: 3}, &tg.MessageEntityHashtag{Offset: 4, Length: 2}, &tg.MessageEntityURL{Offset: 7, Length: 1}},
			[]row{{"type": "mention", "offset": 0, "length": 3}, {"type": "hashtag", "offset": 4, "length": 2}, {"type": "url", "offset": 7, "length": 1}}
	}
}

func photo(id int) *tg.Photo {
	return &tg.Photo{
		ID: int64(id) << 33, AccessHash: 7, FileReference: []byte{1, 2, byte(id)}, Date: firstDate, DCID: dcID,
		Sizes: []tg.PhotoSizeClass{
			&tg.PhotoStrippedSize{Type: "i", Bytes: []byte{1, 40, 30, 9, 9}},
			&tg.PhotoSize{Type: "m", W: 320, H: 240, Size: 11111},
			&tg.PhotoSizeProgressive{Type: "y", W: 1280, H: 960, Sizes: []int{10000, 50000, 200000 + id}},
		},
	}
}

func document(id int, mime string, attributes ...tg.DocumentAttributeClass) *tg.Document {
	return &tg.Document{
		ID: int64(id)<<32 | 5, AccessHash: 8, FileReference: []byte("ref"), Date: firstDate, DCID: dcID,
		MimeType: mime, Size: int64(id) << 22, Attributes: attributes,
	}
}

func putDocument(m *tg.Message, r row, id int, kind, mime string, attributes ...tg.DocumentAttributeClass) {
	m.Media = &tg.MessageMediaDocument{Document: document(id, mime, attributes...)}
	r["media_kind"], r["media_id"], r["media_mime"] = kind, int64(id)<<32|5, mime
	r["media_size"] = int64(id) << 22
}

// media gives six in ten messages something to carry.
func media(m *tg.Message, id int, r row) {
	switch id % 25 {
	case 0, 10:
		m.Media = &tg.MessageMediaPhoto{Photo: photo(id), Spoiler: id%50 == 0}
		r["media_kind"], r["media_id"] = "photo", int64(id)<<33
		r["media_width"], r["media_height"], r["media_size"] = 1280, 960, 200000+id
		if id%50 == 0 {
			r["media"] = row{"spoiler": true}
		}
	case 1:
		putDocument(m, r, id, "video", "video/mp4",
			&tg.DocumentAttributeVideo{Duration: 12.75, W: 640, H: 480},
			&tg.DocumentAttributeFilename{FileName: "Film ü.mp4"})
		r["media_width"], r["media_height"], r["media_duration"] = 640, 480, 12
		r["media_name"] = "Film ü.mp4"
	case 2:
		putDocument(m, r, id, "round_video", "video/mp4",
			&tg.DocumentAttributeVideo{RoundMessage: true, Duration: 59.9, W: 400, H: 400})
		r["media_width"], r["media_height"], r["media_duration"] = 400, 400, 59
	case 3:
		putDocument(m, r, id, "voice", "audio/ogg", &tg.DocumentAttributeAudio{Voice: true, Duration: 8})
		r["media_duration"] = 8
	case 4:
		putDocument(m, r, id, "audio", "audio/mpeg",
			&tg.DocumentAttributeAudio{Duration: 180, Title: "Lied", Performer: "Chor"})
		r["media_duration"], r["media"] = 180, row{"title": "Lied", "performer": "Chor"}
	case 6:
		putDocument(m, r, id, "sticker", "image/webp",
			&tg.DocumentAttributeImageSize{W: 512, H: 511},
			&tg.DocumentAttributeSticker{Alt: "🦆", Stickerset: &tg.InputStickerSetShortName{ShortName: "Ducks"}})
		r["media_width"], r["media_height"] = 512, 511
		r["media"] = row{"emoji": "🦆", "set_name": "Ducks"}
	case 7:
		putDocument(m, r, id, "document", "application/pdf", &tg.DocumentAttributeFilename{FileName: "план.pdf"})
		r["media_name"] = "план.pdf"
	case 8:
		m.Media = &tg.MessageMediaPhoto{TTLSeconds: 10}
		r["media_kind"], r["media"] = "photo", row{"expired": true, "ttl_s": 10}
	case 9, 11:
		page := &tg.WebPage{ID: 4, URL: "https://example.org/", DisplayURL: "example.org", Type: "article",
			SiteName: "Example", Title: "Titel", Description: "Was <b>da</b> steht", Photo: photo(id)}
		m.Media = &tg.MessageMediaWebPage{Webpage: page}
		r["media_kind"] = "web_page"
		r["media"] = row{"url": page.URL, "type": page.Type, "site_name": page.SiteName, "title": page.Title,
			"description": page.Description, "photo_id": int64(id) << 33}
	case 12:
		m.Media = &tg.MessageMediaGeo{Geo: &tg.GeoPoint{Lat: 48.25, Long: -16.5}}
		r["media_kind"], r["media"] = "geo", row{"lat": 48.25, "long": -16.5}
	case 13:
		m.Media = &tg.MessageMediaVenue{Geo: &tg.GeoPoint{Lat: 1.5, Long: 2.5}, Title: "Kino", Address: "Weg 1",
			Provider: "foursquare", VenueID: "v", VenueType: "arts"}
		r["media_kind"] = "venue"
		r["media"] = row{"lat": 1.5, "long": 2.5, "title": "Kino", "address": "Weg 1",
			"provider": "foursquare", "venue_id": "v", "venue_type": "arts"}
	case 14:
		m.Media = poll(id)
		r["media_kind"] = "poll"
		r["media"] = row{"id": int64(id) << 40, "question": row{"text": "Wohin?"}, "closed": true,
			"answers":      []row{{"text": "Nord", "option": b64("0")}, {"text": "Süd", "option": b64("1")}},
			"total_voters": 9, "results": []row{{"option": b64("0"), "voters": 5, "chosen": true}, {"option": b64("1"), "voters": 4}}}
	case 15:
		m.Media = &tg.MessageMediaDice{Value: 6, Emoticon: "🎲"}
		r["media_kind"], r["media"] = "dice", row{"value": 6, "emoticon": "🎲"}
	case 16:
		m.Media = &tg.MessageMediaContact{PhoneNumber: "4930123", FirstName: "Eva", LastName: "", Vcard: "", UserID: 5004}
		r["media_kind"] = "contact"
		r["media"] = row{"phone_number": "4930123", "first_name": "Eva", "last_name": "", "vcard": "", "user_id": 5004}
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func poll(id int) *tg.MessageMediaPoll {
	return &tg.MessageMediaPoll{
		Poll: tg.Poll{ID: int64(id) << 40, Question: "Wohin?", Closed: true,
			Answers: []tg.PollAnswer{{Text: "Nord", Option: []byte("0")}, {Text: "Süd", Option: []byte("1")}}},
		Results: tg.PollResults{TotalVoters: 9, Results: []tg.PollAnswerVoters{
			{Option: []byte("0"), Voters: 5, Chosen: true}, {Option: []byte("1"), Voters: 4}}},
	}
}
