/* SPDX-License-Identifier: MIT */
/*
 * world_words.c - words of several scripts that texts, titles and names are made of
 *
 * Everyday words in no order; the Arabic rows read right to left, the Chinese ones stand without
 * spaces. Emoji include surrogate pairs, joined sequences, skin tones, flags and keycaps, so that
 * UTF-16 lengths differ from characters.
 *
 * Threads: none: constant tables
 */
#include "sim/world_int.h"

#define W(text) { (text), sizeof(text) - 1 }

static const struct tg_str english[] = {
    W("the"), W("and"), W("we"), W("it"), W("is"), W("you"), W("that"), W("for"), W("not"),
    W("with"), W("this"), W("have"), W("from"), W("they"), W("after"), W("would"), W("could"),
    W("about"), W("before"), W("harbour"), W("morning"), W("question"), W("answer"),
    W("ticket"), W("train"), W("meeting"), W("release"), W("version"), W("server"),
    W("deploy"), W("picture"), W("yesterday"), W("tomorrow"), W("somebody"), W("probably"),
    W("already"), W("waiting"), W("finished"), W("don't"), W("I'm"), W("market"), W("price"),
    W("weather"), W("garden"), W("coffee"), W("bridge"), W("report"), W("numbers"), W("table"),
    W("backup"), W("window"), W("between"), W("nobody"), W("e-mail"), W("because"), W("small"),
    W("new"), W("old"), W("really"), W("please"), W("thanks"), W("maybe"), W("later"),
    W("again"),
};

static const struct tg_str spanish[] = {
    W("el"), W("la"), W("de"), W("que"), W("y"), W("no"), W("una"), W("por"), W("con"),
    W("para"), W("mañana"), W("reunión"), W("también"), W("niños"), W("¿qué?"), W("gracias"),
    W("corazón"), W("ciudad"), W("playa"), W("français"), W("déjà"), W("über"), W("straße"),
    W("trabajo"), W("siempre"), W("ahora"), W("después"), W("pregunta"), W("respuesta"),
    W("camino"), W("señor"), W("último"), W("año"), W("mercado"), W("precio"),
};

static const struct tg_str russian[] = {
    W("и"), W("не"), W("это"), W("как"), W("все"), W("для"), W("что"), W("утро"), W("поезд"),
    W("вопрос"), W("ответ"), W("спасибо"), W("завтра"), W("сегодня"), W("город"), W("цена"),
    W("рынок"), W("сервер"), W("данные"), W("погода"), W("пожалуйста"), W("ещё"), W("уже"),
    W("потом"), W("очень"), W("хорошо"), W("книга"), W("мост"), W("окно"), W("весна"),
    W("сообщение"), W("фото"), W("работа"),
};

static const struct tg_str arabic[] = {
    W("في"), W("من"), W("على"), W("هذا"), W("صباح"), W("الخير"), W("شكرا"), W("اليوم"),
    W("غدا"), W("سؤال"), W("جواب"), W("السوق"), W("سعر"), W("كتاب"), W("المدينة"), W("صورة"),
    W("مرحبا"), W("صديق"), W("عمل"), W("جديد"), W("كبير"), W("قديم"), W("لماذا"), W("قبل"),
    W("بعد"), W("\xe2\x80\x8f\xd8\xb1\xd9\x82\xd9\x85\xe2\x80\x8f"),
};

static const struct tg_str chinese[] = {
    W("我们"), W("今天"), W("明天"), W("谢谢"), W("问题"), W("回答"), W("的"), W("了"), W("在"), W("是"),
    W("不"), W("城市"), W("市场"), W("价格"), W("天气"), W("新闻"), W("照片"), W("火车"), W("工作"), W("朋友"),
    W("书"), W("很好"), W("已经"), W("以后"), W("𠮷野家"),
};

const struct sim_words sim_words[SIM_SCRIPTS] = {
    [SIM_ENGLISH] = { english, TG_COUNT(english), " ", ", ", ". ", 8 },
    [SIM_SPANISH] = { spanish, TG_COUNT(spanish), " ", ", ", ". ", 8 },
    [SIM_RUSSIAN] = { russian, TG_COUNT(russian), " ", ", ", "! ", 13 },
    [SIM_ARABIC] = { arabic, TG_COUNT(arabic), " ", "\xd8\x8c ", "\xd8\x9f ", 13 },
    [SIM_CHINESE] = { chinese, TG_COUNT(chinese), "", "\xef\xbc\x8c", "\xe3\x80\x82", 20 },
};

const struct tg_str sim_emoji[] = {
    W("😀"), W("👍"), W("🔥"), W("\xe2\x9d\xa4\xef\xb8\x8f"), W("😂"), W("🎉"), W("👏"), W("🤔"),
    W("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb"), W("👋🏽"), W("🇺🇳"),
    W("1\xef\xb8\x8f\xe2\x83\xa3"), W("😢"), W("🙏"), W("⚡"), W("🏆"),
};
const uint32_t sim_n_emoji = TG_COUNT(sim_emoji);
