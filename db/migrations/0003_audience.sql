CREATE SCHEMA "audience";
--> statement-breakpoint
CREATE TABLE "audience"."busy" (
	"connection_id" text NOT NULL,
	"address" text COLLATE "C" NOT NULL,
	"taker" bigint NOT NULL,
	"until" timestamp with time zone NOT NULL,
	CONSTRAINT "busy_connection_id_address_pk" PRIMARY KEY("connection_id","address")
);
--> statement-breakpoint
CREATE TABLE "audience"."callbacks" (
	"connection_id" text NOT NULL,
	"event" text NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "callbacks_connection_id_event_pk" PRIMARY KEY("connection_id","event")
);
--> statement-breakpoint
CREATE TABLE "audience"."campaigns" (
	"id" text PRIMARY KEY NOT NULL,
	"no" integer GENERATED ALWAYS AS IDENTITY (sequence name "audience"."campaigns_no_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 2147483647 START WITH 1 CACHE 1),
	"connection_id" text NOT NULL,
	"channel_id" text NOT NULL,
	"definition" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"frozen_at" timestamp with time zone,
	"frozen" jsonb,
	CONSTRAINT "campaigns_no_unique" UNIQUE("no")
);
--> statement-breakpoint
CREATE TABLE "audience"."deliveries" (
	"campaign_no" integer NOT NULL,
	"no" integer NOT NULL,
	"user_id" text COLLATE "C" NOT NULL,
	"address" text COLLATE "C",
	"state" text NOT NULL,
	"reason" text,
	"attempt" smallint DEFAULT 0 NOT NULL,
	"due_at" timestamp with time zone,
	"taker" bigint,
	"granted" boolean DEFAULT false NOT NULL,
	"provider_id" text,
	"records" integer,
	"order_id" text COLLATE "C",
	"at" timestamp with time zone,
	CONSTRAINT "deliveries_campaign_no_no_pk" PRIMARY KEY("campaign_no","no"),
	CONSTRAINT "deliveries_user" UNIQUE("campaign_no","user_id"),
	CONSTRAINT "deliveries_address" UNIQUE("campaign_no","address")
) PARTITION BY LIST ("campaign_no");
--> statement-breakpoint
CREATE TABLE "audience"."grants" (
	"connection_id" text NOT NULL,
	"address" text COLLATE "C" NOT NULL,
	"template" text NOT NULL,
	"remaining" integer NOT NULL,
	CONSTRAINT "grants_connection_id_template_address_pk" PRIMARY KEY("connection_id","template","address"),
	CONSTRAINT "grants_remaining" CHECK (remaining >= 0)
);
--> statement-breakpoint
CREATE TABLE "audience"."memberships" (
	"connection_id" text NOT NULL,
	"id" text COLLATE "C" NOT NULL,
	"data" jsonb NOT NULL,
	"source_time" timestamp with time zone,
	"generation" bigint NOT NULL,
	"synced_at" timestamp with time zone NOT NULL,
	"deleted_at" timestamp with time zone,
	"user_id" text COLLATE "C",
	"segment_id" text COLLATE "C",
	CONSTRAINT "memberships_connection_id_id_pk" PRIMARY KEY("connection_id","id")
);
--> statement-breakpoint
CREATE TABLE "audience"."orders" (
	"connection_id" text NOT NULL,
	"id" text COLLATE "C" NOT NULL,
	"data" jsonb NOT NULL,
	"source_time" timestamp with time zone,
	"generation" bigint NOT NULL,
	"synced_at" timestamp with time zone NOT NULL,
	"deleted_at" timestamp with time zone,
	"user_id" text COLLATE "C",
	"ordered_at" timestamp with time zone,
	CONSTRAINT "orders_connection_id_id_pk" PRIMARY KEY("connection_id","id")
);
--> statement-breakpoint
CREATE TABLE "audience"."segments" (
	"connection_id" text NOT NULL,
	"id" text COLLATE "C" NOT NULL,
	"data" jsonb NOT NULL,
	"source_time" timestamp with time zone,
	"generation" bigint NOT NULL,
	"synced_at" timestamp with time zone NOT NULL,
	"deleted_at" timestamp with time zone,
	"name" text,
	CONSTRAINT "segments_connection_id_id_pk" PRIMARY KEY("connection_id","id")
);
--> statement-breakpoint
CREATE TABLE "audience"."unsubscribes" (
	"connection_id" text NOT NULL,
	"kind" text NOT NULL,
	"value" text COLLATE "C" NOT NULL,
	"channel" text DEFAULT '' NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "unsubscribes_connection_id_kind_value_channel_pk" PRIMARY KEY("connection_id","kind","value","channel")
);
--> statement-breakpoint
CREATE TABLE "audience"."users" (
	"connection_id" text NOT NULL,
	"id" text COLLATE "C" NOT NULL,
	"data" jsonb NOT NULL,
	"source_time" timestamp with time zone,
	"generation" bigint NOT NULL,
	"synced_at" timestamp with time zone NOT NULL,
	"deleted_at" timestamp with time zone,
	"tags" bigint[],
	"labels" text[],
	CONSTRAINT "users_connection_id_id_pk" PRIMARY KEY("connection_id","id")
);
--> statement-breakpoint
CREATE INDEX "callbacks_at" ON "audience"."callbacks" USING btree ("at");--> statement-breakpoint
CREATE INDEX "memberships_segment" ON "audience"."memberships" USING btree ("connection_id","segment_id","user_id");--> statement-breakpoint
CREATE INDEX "orders_day" ON "audience"."orders" USING btree ("connection_id","ordered_at");--> statement-breakpoint
CREATE INDEX "users_tags" ON "audience"."users" USING gin ("tags");--> statement-breakpoint
CREATE INDEX "users_labels" ON "audience"."users" USING gin ("labels");