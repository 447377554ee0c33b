//! Structures read from objects only. What serde derives takes an array in place of an object too, by
//! the order of the members, so that an array would say what no interface describes.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

/// A format, or a part of one, in which every structure is an object, at any depth. Lists, tuples and
/// values of any kind are read as before. Copies nothing.
///
/// An enum with a tag inside, and a structure with flattened members, are read whole before their
/// parts, so what is below them escapes this: their members say
/// `#[serde(deserialize_with = "json::objects")]`.
pub struct Objects<T>(pub T);

/// Reads a value in which every structure is an object.
///
/// # Errors
/// What is wrong with it.
pub fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::deserialize(Objects(from))
}

/// Reads a JSON text in which every structure is an object.
///
/// # Errors
/// What is wrong with it.
pub fn read_objects<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = objects(&mut json)?;
    json.end()?;
    Ok(value)
}

/// Forwards a method that is given a visitor and nothing else.
macro_rules! forward {
    ($($method:ident)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(Objects(visitor))
        }
    )+};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Objects<D> {
    type Error = D::Error;

    forward! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32
        deserialize_i64 deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_option deserialize_unit deserialize_seq deserialize_map
        deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, Objects(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Objects(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(length, Objects(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, length, Objects(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Objects(visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, Objects(visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// Forwards a method that is given a plain value.
macro_rules! forward_value {
    ($($method:ident($kind:ty))+) => {$(
        fn $method<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.0.$method(value)
        }
    )+};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Objects<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    forward_value! {
        visit_bool(bool) visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64)
        visit_i128(i128) visit_u8(u8) visit_u16(u16) visit_u32(u32) visit_u64(u64)
        visit_u128(u128) visit_f32(f32) visit_f64(f64) visit_char(char) visit_str(&str)
        visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Objects(inner))
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Objects(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Objects(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Objects(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, of: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Objects(of))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Objects<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Objects(from))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Objects(seed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Objects<A> {
    type Error = A::Error;
    type Variant = Objects<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(Objects(seed))?;
        Ok((value, Objects(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Objects(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(length, Objects(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.newtype_variant_seed(Members { fields, visitor })
    }
}

/// The members of a variant.
struct Members<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Members<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        Objects(from).deserialize_struct("", self.fields, self.visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: i64,
        y: Option<f64>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Nothing,
        Dot(Point),
        Line(Point, Point),
        Circle { middle: Point, name: String },
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Wrapped(Point);

    /// Every way in which one thing can be in another.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Drawing {
        at: Point,
        maybe: Option<Point>,
        wrapped: Wrapped,
        shapes: Vec<Shape>,
        named: BTreeMap<String, Point>,
        pair: (Point, String),
        anything: Value,
        children: Vec<Drawing>,
    }

    fn point() -> impl Strategy<Value = Point> {
        (any::<i64>(), proptest::option::of((-2_000..2_000).prop_map(|half| f64::from(half) / 2.0)))
            .prop_map(|(x, y)| Point { x, y })
    }

    fn shape() -> impl Strategy<Value = Shape> {
        prop_oneof![
            Just(Shape::Nothing),
            point().prop_map(Shape::Dot),
            (point(), point()).prop_map(|(from, to)| Shape::Line(from, to)),
            (point(), "[a-zé\"\\\\]{0,8}")
                .prop_map(|(middle, name)| Shape::Circle { middle, name }),
        ]
    }

    fn drawing() -> impl Strategy<Value = Drawing> {
        let flat = (
            (point(), proptest::option::of(point()), point()),
            proptest::collection::vec(shape(), 0..4),
            proptest::collection::btree_map("[a-z]{1,4}", point(), 0..3),
            (point(), "[a-z]{0,4}"),
        );
        let leaf = flat.prop_map(|((at, maybe, wrapped), shapes, named, pair)| Drawing {
            at,
            maybe,
            wrapped: Wrapped(wrapped),
            shapes,
            named,
            pair,
            anything: json!([1, {"a": [true, null]}, ["b"]]),
            children: Vec::new(),
        });
        leaf.prop_recursive(3, 8, 3, |inner| {
            (inner.clone(), proptest::collection::vec(inner, 0..3))
                .prop_map(|(drawing, children)| Drawing { children, ..drawing })
        })
    }

    /// The places of structures: objects, except those of maps, of variants and of anything.
    fn structures(of: &Value, path: &str, found: &mut Vec<String>) {
        match of {
            Value::Object(members) => {
                let is_variant =
                    ["Dot", "Line", "Circle"].iter().any(|it| members.contains_key(*it));
                if !path.ends_with("/named") && !is_variant {
                    found.push(path.to_owned());
                }
                for (name, member) in members.iter().filter(|it| it.0 != "anything") {
                    structures(member, &format!("{path}/{name}"), found);
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    structures(item, &format!("{path}/{place}"), found);
                }
            }
            _ => {}
        }
    }

    /// The members in the order of their declaration, as serde would take them.
    fn in_order(structure: &Value) -> Value {
        const ORDER: [&str; 12] = [
            "x", "y", "at", "maybe", "wrapped", "shapes", "named", "pair", "anything", "children",
            "middle", "name",
        ];
        ORDER.iter().filter_map(|name| structure.get(name)).cloned().collect()
    }

    proptest! {
        #[test]
        fn an_array_in_place_of_any_structure_is_refused(
            drawing in drawing(),
            chosen in any::<prop::sample::Index>(),
        ) {
            let whole = serde_json::to_value(&drawing).expect("JSON");
            prop_assert_eq!(
                &read_objects::<Drawing>(&whole.to_string()).expect("a drawing"), &drawing
            );
            prop_assert_eq!(&objects::<Drawing, _>(whole.clone()).expect("a drawing"), &drawing);
            let mut places = Vec::new();
            structures(&whole, "", &mut places);
            let place = chosen.get(&places);
            let mut altered = whole;
            let structure = altered.pointer_mut(place).expect("a structure");
            *structure = in_order(structure);
            let text = altered.to_string();
            // serde takes it, so what refuses it is this.
            prop_assert_eq!(&serde_json::from_str::<Drawing>(&text).expect("taken"), &drawing);
            prop_assert!(read_objects::<Drawing>(&text).is_err(), "{}", place);
            prop_assert!(objects::<Drawing, _>(altered).is_err(), "{}", place);
        }
    }

    #[test]
    fn what_follows_the_value_is_refused() {
        assert!(read_objects::<Point>(r#"{"x":1,"y":null}"#).is_ok());
        assert!(read_objects::<Point>(r#"{"x":1,"y":null} 1"#).is_err());
    }

    #[test]
    fn the_refusal_says_where_and_what() {
        let text = r#"{"at":[1,2]}"#;
        let mut json = serde_json::Deserializer::from_str(text);
        let error = serde_path_to_error::deserialize::<_, Drawing>(Objects(&mut json));
        let error = error.expect_err("refused");
        assert_eq!(error.path().to_string(), "at");
        let problem = error.into_inner().to_string();
        assert!(problem.starts_with("invalid type: sequence, expected struct Point"), "{problem}");
    }
}
