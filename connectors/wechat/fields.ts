/** A field of a template is a kind and a number. */
export const fieldKey =
  /^(thing|number|letter|symbol|character_string|time|date|amount|phone_number|car_number|name|phrase|enum)\d{1,3}$/;

/** What each kind takes, as the vendor's table of parameter values has it; characters are counted as people see them. */
const kinds: Record<string, { most?: number; form?: RegExp }> = {
  thing: { most: 20 },
  number: { form: /^[\d.]{1,32}$/ },
  letter: { form: /^[A-Za-z]{1,32}$/ },
  symbol: { most: 5 },
  character_string: { form: /^[\x21-\x7e]{1,32}$/ },
  time: { form: /^[\d\s:~年月日/.-]{1,40}$/ },
  date: { form: /^\d{4}[年/.-]\d{1,2}[月/.-]\d{1,2}日?(\s+\d{1,2}:\d{2}(:\d{2})?)?$/ },
  amount: { form: /^\D?\d{1,10}(\.\d+)?元?$/ },
  phone_number: { form: /^[\d+\-\s()]{1,17}$/ },
  car_number: { most: 8 },
  name: {},
  phrase: { form: /^\p{Script=Han}{1,5}$/u },
  // The list of its values stands at the vendor's alone.
  enum: {},
};

/** Why WeChat would refuse the value (47003); null when it would not. */
export function checkField(key: string, value: string): string | null {
  const kind = kinds[key.replace(/\d+$/, '')];
  if (!kind) return 'unknown_field';
  if (value.trim() === '') return 'empty';
  if (/\p{Cc}/u.test(value)) return 'control_character';
  const length = [...value].length;
  if (kind === kinds.name && length > (/^[\x20-\x7e]*$/.test(value) ? 20 : 10)) return 'too_long';
  if (kind.most !== undefined && length > kind.most) return 'too_long';
  if (kind.form && !kind.form.test(value)) return 'wrong_form';
  return null;
}
