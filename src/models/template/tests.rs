use super::*;

/// The constructs of Llama 3's template: a date, the system message cut off, `set` in `if`.
const LLAMA: &str = r#"{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "[system]Today: " + date_string + "\n" + system + "[end]" }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '[' + message['role'] + ']' + message['content'] | trim + '[end]' }}
    {%- elif message.tool_calls|length != 1 %}
        {{- raise_exception("one tool at once") }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '[assistant]' }}{%- endif %}"#;

/// Those of Qwen 3's: a namespace, the chat backwards, thoughts cut out, an empty thought.
const QWEN: &str = r#"{%- set ns = namespace(last=messages|length - 1, open=true) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.open and message.role == "user" and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set ns.open = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if '</think>' in content %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {{- '[' + message.role + ('*' if loop.index0 == ns.last else '') + ']' + content.strip('\n') + '\n' }}
{%- endfor %}
{{- '[assistant]' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think></think>' }}{%- endif %}"#;

/// Those of Gemma 2's, which knows no system, and of Mistral's, which wants turns.
const GEMMA: &str = r#"{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turn by turn') }}{% endif %}{{ '[' + ('model' if message['role'] == 'assistant' else message['role']) + ']' + message['content'] | trim }}{% endfor %}[model]"#;

const MISTRAL: &str = r#"{%- set users = messages | selectattr("role", "equalto", "user") | list %}
{%- for message in messages %}
    {%- if message.role == "user" %}
        {{- "[INST" + ("!" if message == users[-1] else "") + "]" + message["content"] + "[/INST]" }}
    {%- elif message.role == "assistant" %}
        {{- message["content"] + eos_token }}
    {%- endif %}
{%- endfor %}"#;

fn chat(messages: &[(Role, &str)]) -> Vec<Message> {
    let message = |(role, content): &(Role, &str)| Message {
        role: *role,
        content: (*content).to_owned(),
    };
    messages.iter().map(message).collect()
}

fn rendered(template: &str, messages: &[(Role, &str)]) -> Result<String, ModelError> {
    let template = ChatTemplate::parse(template.into(), "<s>".into(), "</s>".into()).unwrap();
    template.render(&chat(messages))
}

use Role::{Assistant, System, User};

#[test]
fn llama_3_s_constructs_work_and_its_day_stands_still() {
    let messages = [(System, " Be brief. "), (User, "Hi "), (Assistant, "Yes?")];
    assert_eq!(
        rendered(LLAMA, &messages).unwrap(),
        "<s>[system]Today: 26 Jul 2024\nBe brief.[end][user]Hi[end][assistant]Yes?[end][assistant]"
    );
}

#[test]
fn qwen_3_s_constructs_work_and_it_does_not_think_aloud() {
    let messages = [
        (User, "a"),
        (Assistant, "<think>\nhm\n</think>\n\nb"),
        (User, "c\n"),
    ];
    assert_eq!(
        rendered(QWEN, &messages).unwrap(),
        "[user]a\n[assistant]b\n[user*]c\n[assistant]<think></think>"
    );
}

#[test]
fn a_system_message_that_is_refused_goes_before_the_first_user_message() {
    let messages = [(System, "Be brief."), (User, "Hi")];
    assert_eq!(
        rendered(GEMMA, &messages).unwrap(),
        "<s>[user]Be brief.\n\nHi[model]"
    );
    assert_eq!(
        rendered(GEMMA, &[(System, "Speak.")]).unwrap(),
        "<s>[user]Speak.[model]"
    );
}

#[test]
fn a_system_message_that_is_dropped_does_so_too() {
    assert_eq!(
        rendered(MISTRAL, &[(System, "Be brief."), (User, "Hi")]).unwrap(),
        "[INST!]Be brief.\n\nHi[/INST]"
    );
}

#[test]
fn messages_of_one_role_in_a_row_become_one_where_they_are_refused() {
    let messages = [(User, "a"), (User, "b"), (Assistant, "c"), (User, "d")];
    assert_eq!(
        rendered(GEMMA, &messages).unwrap(),
        "<s>[user]a\n\nb[model]c[user]d[model]"
    );
    // Where they are not, they stay.
    assert_eq!(
        rendered(MISTRAL, &messages).unwrap(),
        "[INST]a[/INST][INST]b[/INST]c</s>[INST!]d[/INST]"
    );
}

#[test]
fn what_is_refused_in_every_form_is_told_in_the_templates_words() {
    let error = rendered(GEMMA, &[(Assistant, "me first")]).unwrap_err();
    assert!(error.to_string().contains("turn by turn"), "{error}");
}

#[test]
fn methods_and_filters_do_what_they_do_in_python() {
    for (expression, expected) in [
        ("'xxhixx'.strip('x')", "hi"),
        ("'\n\nhi'.lstrip('\n')", "hi"),
        ("'hi  '.rstrip()", "hi"),
        ("'a b'.split()[-1]", "b"),
        ("'a-b-a'.replace('a', 'c')", "c-b-c"),
        ("'hELLO'.title()", "Hello"),
        ("'äöü'.find('ü')", "2"),
        ("'abc'.find('x')", "-1"),
        ("{'a': 1}.get('a')", "1"),
        ("{'a': 1}.get('b', 2)", "2"),
        ("{'a': [1, 'x']} | tojson", r#"{"a": [1, "x"]}"#),
        ("[1] | tojson(indent=2)", "[\n  1\n]"),
        ("strftime_now('%Y-%m-%d')", "2024-07-26"),
    ] {
        let template = format!("{{{{ {expression} }}}}");
        assert_eq!(rendered(&template, &[]).unwrap(), expected, "{expression}");
    }
    let pairs = "{% for key, value in {'a': 1, 'b': 2}.items() %}{{ key }}{{ value }}{% endfor %}";
    assert_eq!(rendered(pairs, &[]).unwrap(), "a1b2");
}

#[test]
fn a_template_that_does_not_end_is_given_up() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    let template = ChatTemplate::parse(endless.into(), String::new(), String::new()).unwrap();
    let error = template.render(&[]).unwrap_err();
    assert!(error.to_string().contains("fuel"), "{error}");
}
