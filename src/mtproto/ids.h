/* SPDX-License-Identifier: MIT */
/*
 * ids.h - constructor ids of the messages that the protocol itself speaks
 *
 * Facts: schema/mtproto.tl; core.telegram.org/mtproto/service_messages,
 * /service_messages_about_messages, /TL-core-types.
 *
 * Threads: none: constants
 */
#ifndef MT_IDS_H
#define MT_IDS_H

/* carriers */
#define MT_ID_MSG_CONTAINER 0x73f1f8dcu
#define MT_ID_MSG_COPY 0xe06046b2u
#define MT_ID_GZIP_PACKED 0x3072cfa1u
#define MT_ID_RPC_RESULT 0xf35c6d01u
#define MT_ID_RPC_ERROR 0x2144ca19u
#define MT_ID_INVOKE_AFTER_MSG 0xcb9f372du

/* about messages */
#define MT_ID_MSGS_ACK 0x62d6b459u
#define MT_ID_BAD_MSG_NOTIFICATION 0xa7eff811u
#define MT_ID_BAD_SERVER_SALT 0xedab447bu
#define MT_ID_MSGS_STATE_REQ 0xda69fb52u
#define MT_ID_MSGS_STATE_INFO 0x04deb57du
#define MT_ID_MSGS_ALL_INFO 0x8cc0d131u
#define MT_ID_MSG_DETAILED_INFO 0x276d3ec6u
#define MT_ID_MSG_NEW_DETAILED_INFO 0x809db6dfu
#define MT_ID_MSG_RESEND_REQ 0x7d861a08u
#define MT_ID_MSG_RESEND_ANS_REQ 0x8610baebu

/* about sessions, time and salts */
#define MT_ID_NEW_SESSION_CREATED 0x9ec20908u
#define MT_ID_DESTROY_SESSION 0xe7512126u
#define MT_ID_DESTROY_SESSION_OK 0xe22045fcu
#define MT_ID_DESTROY_SESSION_NONE 0x62d350c9u
#define MT_ID_GET_FUTURE_SALTS 0xb921bd04u
#define MT_ID_FUTURE_SALTS 0xae500895u
#define MT_ID_PING 0x7abe77ecu
#define MT_ID_PING_DELAY_DISCONNECT 0xf3427b8cu
#define MT_ID_PONG 0x347773c5u
#define MT_ID_HTTP_WAIT 0x9299359fu

/* about calls and keys */
#define MT_ID_RPC_DROP_ANSWER 0x58e4a740u
#define MT_ID_RPC_ANSWER_UNKNOWN 0x5e2ad36eu
#define MT_ID_RPC_ANSWER_DROPPED_RUNNING 0xcd78e586u
#define MT_ID_RPC_ANSWER_DROPPED 0xa43ad8b7u
#define MT_ID_DESTROY_AUTH_KEY 0xd1435160u
#define MT_ID_DESTROY_AUTH_KEY_OK 0xf660e1d4u
#define MT_ID_DESTROY_AUTH_KEY_NONE 0x0a9f2259u
#define MT_ID_DESTROY_AUTH_KEY_FAIL 0xea109b13u
#define MT_ID_VECTOR UINT32_C(0x1cb5c415)

/* error_code of bad_msg_notification and bad_server_salt */
enum mt_bad_msg {
    MT_BAD_ID_TOO_LOW = 16,
    MT_BAD_ID_TOO_HIGH = 17,
    MT_BAD_ID_LOW_BITS = 18,
    MT_BAD_CONTAINER_REUSED = 19,
    MT_BAD_TOO_OLD = 20,
    MT_BAD_SEQ_TOO_LOW = 32,
    MT_BAD_SEQ_TOO_HIGH = 33,
    MT_BAD_SEQ_NOT_EVEN = 34,
    MT_BAD_SEQ_NOT_ODD = 35,
    MT_BAD_SALT = 48,
    MT_BAD_CONTAINER = 64,
};

/* a byte of msgs_state_info: the low three bits are one of these, the others are flags */
enum mt_state_byte {
    MT_STATE_UNKNOWN = 1,      /* too old to tell */
    MT_STATE_NOT_RECEIVED = 2, /* in the window, but never came */
    MT_STATE_TOO_HIGH = 3,     /* above all that came */
    MT_STATE_RECEIVED = 4,
    MT_STATE_MASK = 7,
    MT_STATE_ACKED = 8,
    MT_STATE_NO_ACK_NEEDED = 16,
    MT_STATE_RUNNING = 32,
    MT_STATE_ANSWERED = 64,
};

/* bounds of the protocol, both sides */
enum {
    MT_CONTAINER_MAX = 1024, /* messages in a container that a peer may send */
    MT_IDS_MAX = 8192,       /* ids in msgs_ack, msgs_state_req, msg_resend_req */
    MT_INFLATE_MAX = 64 << 20,
};

#endif
